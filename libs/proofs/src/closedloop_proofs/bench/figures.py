"""Figures, their verdicts, the table and the file."""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from closedloop_proofs.bench.samples import Sample, Summary, ratios, summary

COMPARED = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A promise such as ">= 0.5"; `of` is what it is held against, the ratio or the value itself."""

    sign: str
    bound: float
    of: str = "ratio"

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}" + ("" if self.of == "ratio" else " (value)")

    def holds(self, value: float, ratio: float | None) -> bool:
        measured = ratio if self.of == "ratio" else value
        return measured is not None and bool(COMPARED[self.sign](measured, self.bound))


@dataclass(frozen=True, slots=True)
class Figure:
    """`value` in `unit`; `ratio` is value / `limit`, both of the same run. Latencies in milliseconds."""

    name: str
    value: float
    unit: str
    against: str
    ratio: float | None
    wanted: Wanted | None
    limit: float | None = None
    median: float | None = None
    p99: float | None = None
    spread: float | None = None
    note: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """A figure nobody asked for is only told."""
        return self.wanted is None or self.wanted.holds(self.value, self.ratio)

    def as_json(self) -> dict[str, Any]:
        told = asdict(self)
        told.update(wanted=str(self.wanted) if self.wanted else "", ok=self.ok)
        return told


def throughput(
    name: str, ours: Sequence[Sample], against: str, theirs: Sequence[Sample], wanted: Wanted | None, note: str = ""
) -> Figure:
    """Calls per second of ours over theirs, pair by pair."""
    rates, ratio = summary([s.rate for s in ours]), ratios([s.rate for s in ours], [s.rate for s in theirs])
    return Figure(
        name=name,
        value=rates.median,
        unit="calls/s",
        against=against,
        limit=summary([s.rate for s in theirs]).median,
        ratio=ratio.median,
        wanted=wanted,
        median=summary([s.median_ms for s in ours]).median,
        p99=summary([s.p99_ms for s in ours]).median,
        spread=ratio.spread,
        note=note,
        more={"ours": cost(ours), "theirs": cost(theirs), "ratios": _range(ratio)},
    )


def tail(name: str, ours: Sequence[Sample], against: str, theirs: Sequence[Sample], wanted: Wanted | None) -> Figure:
    """The 99th percentile of ours over theirs, pair by pair."""
    p99, ratio = summary([s.p99_ms for s in ours]), ratios([s.p99_ms for s in ours], [s.p99_ms for s in theirs])
    return Figure(
        name=name,
        value=p99.median,
        unit="ms",
        against=against,
        limit=summary([s.p99_ms for s in theirs]).median,
        ratio=ratio.median,
        wanted=wanted,
        median=summary([s.median_ms for s in ours]).median,
        p99=p99.median,
        spread=ratio.spread,
        more={"ratios": _range(ratio)},
    )


def cost(samples: Sequence[Sample]) -> dict[str, float]:
    """What a call cost the server, and how much of its core it used: below 1 something else was the limit."""
    return {
        "rate": round(summary([s.rate for s in samples]).median, 1),
        "median_ms": round(summary([s.median_ms for s in samples]).median, 3),
        "p99_ms": round(summary([s.p99_ms for s in samples]).median, 3),
        "server_cpu_us": round(summary([s.cpu_us for s in samples]).median, 1),
        "server_busy": round(summary([s.busy for s in samples]).median, 3),
    }


def _range(ratio: Summary) -> list[float]:
    return [round(ratio.least, 3), round(ratio.greatest, 3)]


def write(figures: Sequence[Figure], path: Path, about: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"figures": [figure.as_json() for figure in figures], "ok": all(f.ok for f in figures), **about}
    path.with_suffix(".part").write_text(json.dumps(told, indent=1, ensure_ascii=False, default=str) + "\n")
    os.replace(path.with_suffix(".part"), path)


def table(figures: Sequence[Figure]) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "figure"):
        made.add_column(column)
    for column in ("value", "unit", "against", "limit", "ratio", "wanted", "median", "p99", "spread"):
        made.add_column(column, justify="left" if column in ("unit", "against", "wanted") else "right")
    for one in figures:
        mark = "" if one.wanted is None else "[green]✓[/]" if one.ok else "[red]✗[/]"
        made.add_row(
            mark,
            one.name,
            _number(one.value),
            one.unit,
            one.against,
            _number(one.limit),
            _number(one.ratio),
            str(one.wanted or ""),
            _number(one.median),
            _number(one.p99),
            "" if one.spread is None else f"{one.spread:.0%}",
        )
    return made


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
