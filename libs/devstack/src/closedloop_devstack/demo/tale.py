"""One step of the story as it is played: what is told, what was verified, by which rule and which clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from closedloop.common.v1.common_pb2 import RuleReference
from closedloop.platform.v1.platform_pb2 import Clock, ClockState
from closedloop_devstack.demo.company import Company
from closedloop_devstack.demo.narrator import Narrator, Text
from closedloop_devstack.demo.rows import fen
from closedloop_devstack.demo.stage import Stage, Unverified
from closedloop_devstack.demo.watch import CHINA

_HOURS = 3600


@dataclass
class Threads:
    """What earlier steps leave for later ones; ids of the platform."""

    plan_id: str = ""
    lead_id: str = ""
    account_id: str = ""
    deal_id: str = ""
    quote_id: str = ""
    contract_id: str = ""
    seller: str = ""
    account_name: str = ""
    won_fen: int = 0
    # What each break of the loop was, and what closed it; told at the end.
    closed: list[tuple[Text, Text]] = field(default_factory=list)


@dataclass(frozen=True)
class Chapter:
    """A step of the story. `needs` are the steps without which it cannot be played.

    Behind every step stand a rule and a clock; `timeless` says why there is no clock behind this one.
    """

    id: str
    title: Text
    rows: tuple[str, ...]
    play: Callable[[Tale], None]
    needs: tuple[str, ...] = ()
    timeless: Text | None = None


@dataclass
class Step:
    """A chapter as it went; what stands in the report."""

    chapter: Chapter
    verified: bool = False
    checks: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    rules: list[dict[str, Any]] = field(default_factory=list)
    clocks: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    seconds: float = 0.0

    def report(self) -> dict[str, Any]:
        return {
            "id": self.chapter.id,
            "title": self.chapter.title.en,
            "title_zh": self.chapter.title.zh,
            "rows": list(self.chapter.rows),
            "verified": self.verified,
            "facts": self.facts,
            "checks": self.checks,
            "rule": self.rules,
            "clock": self.clocks,
            **({"timeless": self.chapter.timeless.en} if self.chapter.timeless else {}),
            "seconds": round(self.seconds, 2),
            **({"error": self.error} if self.error else {}),
        }


class Tale:
    """What a chapter tells and checks with. `threads` come from the chapters before."""

    def __init__(self, stage: Stage, narrator: Narrator, step: Step, threads: Threads) -> None:
        self.stage = stage
        self.threads = threads
        self._narrator = narrator
        self._step = step

    @property
    def company(self) -> Company:
        return self.stage.company

    def name(self, person_id: str) -> str:
        return self.company.person[person_id].name

    def tell(self, zh: str, en: str) -> None:
        self._narrator.line(Text(zh, en), self.stage.now)

    def check(self, zh: str, en: str, holds: bool) -> None:
        """Something read back through the API. Raises Unverified when it is not so."""
        if not holds:
            self._narrator.failed(Text(zh, en))
            raise Unverified(en)
        self._step.checks.append(en)
        self._narrator.verified(Text(zh, en))

    def facts(self, **facts: Any) -> None:
        """For the report: numbers, ids, names."""
        self._step.facts |= facts

    def figures(self, zh: str, en: str, before: str, after: str) -> None:
        """Before and after; kept for the report under the English label."""
        self._step.facts[en] = {"before": before, "after": after}
        self._narrator.change(Text(zh, en), before, after)

    def rule(self, service: str, rulebook: str, zh: str, en: str) -> None:
        """The rulebook in force with its version, and what it says."""
        version = self.stage.rulebook_version(service, rulebook)
        self._keep_rule({"rulebook": rulebook, "version": version, "explanation": en})
        self._narrator.rule(rulebook, version, Text(zh, en))

    def ruled(self, reference: RuleReference) -> None:
        """A conclusion that the platform explains itself. Raises Unverified when it names no rule."""
        if not reference.rulebook:
            raise Unverified("a conclusion names the rule that led to it")
        told = {"rulebook": reference.rulebook, "version": reference.version, "rule": reference.rule}
        self._keep_rule({**told, "explanation": reference.explanation})
        said = reference.explanation or reference.rule
        self._narrator.rule(reference.rulebook, reference.version, Text(said, said))

    def clock(self, clock: Clock) -> None:
        state = ClockState.Name(clock.state).removeprefix("CLOCK_STATE_").lower()
        hours = clock.budget.ToTimedelta().total_seconds() / _HOURS
        told = {
            "kind": clock.kind,
            "calendar": clock.calendar,
            "budget_hours": round(hours, 2),
            "state": state,
            "level": clock.level,
            "start_time": moment(clock.start_time).astimezone(CHINA).isoformat(),
            "due_time": moment(clock.due_time).astimezone(CHINA).isoformat(),
        }
        if told not in self._step.clocks:
            self._step.clocks.append(told)
        started, due = moment(clock.start_time), moment(clock.due_time)
        self._narrator.clock(clock.kind, hours, clock.calendar, started, due, state)

    def end(self) -> None:
        """The story of the step is told. Raises Unverified when nothing was checked, or no rule or clock was shown."""
        timeless = self._step.chapter.timeless
        if timeless:
            self._narrator.timeless(timeless)
        shown = {"a check": self._step.checks, "a rule": self._step.rules, "a clock": self._step.clocks or timeless}
        if missing := [what for what, there in shown.items() if not there]:
            raise Unverified(f"the step shows {' and '.join(missing)} nowhere")

    def close(self, break_: Text, by: Text) -> None:
        self.threads.closed.append((break_, by))

    def table(self, title: Text, heads: tuple[Text, ...], rows: list[tuple[str | Text, ...]]) -> None:
        self._narrator.table(title, heads, rows)

    def _keep_rule(self, told: dict[str, Any]) -> None:
        if told not in self._step.rules:
            self._step.rules.append(told)


def yuan(amount: Money | int) -> str:
    """Of money or fen, as people read it: "¥960,000.00"."""
    value = amount if isinstance(amount, int) else fen(amount)
    return f"¥{value / 100:,.2f}"


def moment(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(UTC)
