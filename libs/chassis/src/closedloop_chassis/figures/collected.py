"""All that the slices of a service declare, under the rulebooks in force."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from closedloop.common.v1.common_pb2 import RuleReference
from closedloop_chassis import errors
from closedloop_chassis.figures.declared import Agreement, Figure, Figures, Record
from closedloop_chassis.figures.rules import Count, FigureRules
from closedloop_chassis.service import Slice
from closedloop_chassis.work import Work


@dataclass(frozen=True)
class Collected:
    """The catalogue of a service. `model` is its rulebook of figures."""

    figures: dict[str, Figure]
    records: dict[str, Record]
    agreements: tuple[Agreement, ...]
    model: type[FigureRules]
    by_figure: dict[str, Figures]

    def figure(self, name: str) -> Figure:
        """Raises NotFound METRIC_UNKNOWN."""
        found = self.figures.get(name)
        if found is None:
            raise errors.NotFound("METRIC_UNKNOWN", f"no metric {name}")
        return found

    def made_of(self, name: str) -> list[Figure]:
        """The figure and those of this service it is made of, each once, the raw ones first."""
        found: dict[str, Figure] = {}

        def walk(one: Figure) -> None:
            for part in one.upstream:
                if part in self.figures and part not in found:
                    walk(self.figures[part])
            found.setdefault(one.name, one)

        walk(self.figures[name])
        return list(found.values())

    def records_of(self, name: str) -> list[str]:
        return list(dict.fromkeys(record for one in self.made_of(name) for record in one.records))

    def of_figure(self, name: str, counts: Iterable[Count]) -> list[Count]:
        """Those of the counts that bear upon the figure."""
        records = set(self.records_of(name))
        parts = {one.name for one in self.made_of(name)}
        agreeing = {one.name for one in self.agreements if parts & set(one.figures)}
        return [
            count
            for count in counts
            if (count.aspect in agreeing if count.dimension == "consistency" else count.record in records)
        ]

    def suffering(self, count: Count) -> list[str]:
        """Figures on which the check bears, in their order."""
        return [name for name in self.figures if self.of_figure(name, (count,))]


def collected(slices: Sequence[Slice], rules: Callable[[type[Any]], Any]) -> Collected:
    parts = [part.figures for part in slices if part.figures is not None]
    by_figure = {one.name: part for part in parts for one in part.all(rules)}
    figures = {one.name: one for part in parts for one in part.all(rules)}
    records = {record.name: record for part in parts for record in part.records}
    models = [model for part in slices for model in part.rules if issubclass(model, FigureRules)]
    return Collected(
        figures,
        records,
        tuple(one for part in parts for one in part.agreements),
        models[0] if models else FigureRules,
        by_figure,
    )


def of(work: Work) -> Collected:
    return collected(work.process.slices, work.rules)


def rules_of(known: Collected, work: Work, at: datetime | None = None) -> FigureRules:
    """Those in force then, by default now; a service without figures has none of its own."""
    if known.model is FigureRules:
        return FigureRules()
    return work.process.rulebooks.in_force(known.model, at or work.now)


def reference(
    work: Work, model: type[Any], rule: str, explanation: str = "", at: datetime | None = None
) -> RuleReference:
    shelf = work.process.rulebooks
    version = shelf.version(model, at or work.now) if model.rulebook in shelf.models else 0
    return RuleReference(rulebook=model.rulebook, version=version, rule=rule, explanation=explanation)
