"""The organisation as a dated tree: who is where on a day, what is inherited, and what may not be."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import pairwise
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.org.home import HomeRules
from closedloop_chassis.rulebook.rules import Rules
from closedloop_targets.org import dated

Territory = dict[str, list[str]]
OrgStateName = Literal["planned", "active", "closed"]


class OrgRules(Rules):
    """Levels of the tree, and how much of it is shown at once."""

    rulebook: ClassVar[str] = "targets.org"

    kinds: tuple[str, ...] = Field(
        default=("company", "division", "region", "area", "branch", "team", "store", "department"), min_length=1
    )
    # How many units one may lie below another, itself counted.
    deepest: int = Field(default=50, ge=1, le=1000)
    # Nodes of the tree that are answered at once where no size of page is asked for.
    largest_tree: int = Field(default=20_000, ge=1)


@dataclass(frozen=True, slots=True)
class UnitState:
    start_date: date
    parent_id: str = ""
    name: str = ""
    kind: str = ""
    manager_id: str = ""
    calendar: str = ""
    time_zone: str = ""
    currency_code: str = ""
    territory: Territory = field(default_factory=dict)
    custom_fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """A unit with all its states. `close_date` and `leave_date` are the first day it is no more."""

    id: str
    open_date: date
    close_date: date | None
    successor_id: str
    provenance: dict[str, Any]
    version: int
    updated_at: datetime
    told: str
    states: tuple[UnitState, ...]

    def state_on(self, day: date) -> OrgStateName:
        if day < self.open_date:
            return "planned"
        return "closed" if self.close_date is not None and day >= self.close_date else "active"


@dataclass(frozen=True, slots=True)
class PersonState:
    start_date: date
    unit_id: str = ""
    name: str = ""
    title: str = ""
    roles: list[str] = field(default_factory=list)
    function: str = ""
    email: str = ""
    mobile: str = ""
    handles: dict[str, str] = field(default_factory=dict)
    time_zone: str = ""
    language: str = ""
    territory: Territory = field(default_factory=dict)
    custom_fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PersonRecord:
    id: str
    hire_date: date
    leave_date: date | None
    provenance: dict[str, Any]
    version: int
    updated_at: datetime
    told: str
    states: tuple[PersonState, ...]

    def state_on(self, day: date) -> OrgStateName:
        if day < self.hire_date:
            return "planned"
        return "closed" if self.leave_date is not None and day >= self.leave_date else "active"


@dataclass(frozen=True, slots=True)
class Inherited:
    """What holds in a unit, its own or from above. `path` runs from the root to the unit."""

    path: tuple[str, ...]
    manager_id: str
    calendar: str
    time_zone: str
    currency_code: str


class Chart:
    """The tree on one day."""

    def __init__(self, units: Iterable[UnitRecord], day: date, home: HomeRules) -> None:
        self.day = day
        self.units = {unit.id: unit for unit in units}
        self._states = {unit.id: dated.as_of(unit.states, day) for unit in self.units.values()}
        self._children: dict[str, list[str]] = defaultdict(list)
        for unit_id in sorted(self.units):
            self._children[self._states[unit_id].parent_id].append(unit_id)
        self._home = home
        self._inherited: dict[str, Inherited] = {}

    def state(self, unit_id: str) -> UnitState:
        return self._states[unit_id]

    def is_active(self, unit_id: str) -> bool:
        return unit_id in self.units and self.units[unit_id].state_on(self.day) == "active"

    def children(self, unit_id: str) -> list[str]:
        return self._children.get(unit_id, [])

    def ancestry(self, unit_id: str) -> Iterator[str]:
        """The unit, its parent, and so on. Raises FailedPrecondition ORG_CYCLE."""
        seen: set[str] = set()
        while unit_id in self.units:
            if unit_id in seen:
                raise errors.FailedPrecondition("ORG_CYCLE", f"unit {unit_id} would lie below itself", unit_id=unit_id)
            seen.add(unit_id)
            yield unit_id
            unit_id = self._states[unit_id].parent_id

    def subtree(self, unit_id: str) -> list[str]:
        """The unit and all below it, depth first."""
        found, ahead = [], [unit_id]
        while ahead:
            found.append(ahead.pop())
            ahead.extend(reversed(self.children(found[-1])))
        return found

    def inherited(self, unit_id: str) -> Inherited:
        if unit_id not in self._inherited:
            line = list(self.ancestry(unit_id))
            home = self._home

            def nearest(name: str, default: str) -> str:
                return next((value for unit in line if (value := getattr(self._states[unit], name))), default)

            self._inherited[unit_id] = Inherited(
                tuple(reversed(line)),
                nearest("manager_id", ""),
                nearest("calendar", home.calendar),
                nearest("time_zone", home.time_zone),
                nearest("currency_code", home.currency_code),
            )
        return self._inherited[unit_id]

    def reports_to(self, person_id: str, unit_id: str) -> str:
        """The leader of the unit or of the nearest one above, who is somebody else."""
        leaders = (self._states[unit].manager_id for unit in self.ancestry(unit_id))
        return next((leader for leader in leaders if leader and leader != person_id), "")


def check_tree(
    before: Mapping[str, UnitRecord], units: Mapping[str, UnitRecord], changed: Iterable[str], rules: OrgRules
) -> None:
    """Looks at every day, from the first that changed, on which any unit is moved, opened or closed: a move of today may
    close a circle with another one that waits for its day.

    Raises FailedPrecondition ORG_CYCLE, ORG_TOO_DEEP or PARENT_CLOSED."""
    watched = [units[unit_id] for unit_id in changed]
    first = min((_days_that_differ(before.get(unit.id), unit) for unit in watched), default=date.max)
    for day in sorted({day for unit in units.values() for day in _days_of_moves(unit) if day >= first}):
        levels: dict[str, int] = {}
        for unit in watched:
            if unit.state_on(day) != "active":
                continue
            line: dict[str, None] = {}
            above = unit.id
            while above in units and above not in levels:
                if above in line:
                    raise errors.FailedPrecondition(
                        "ORG_CYCLE", f"unit {above} would lie below itself on {day}", unit_id=above
                    )
                line[above] = None
                above = dated.as_of(units[above].states, day).parent_id
            top = levels.get(above, 0)
            levels |= {below: top + level for level, below in enumerate(reversed(line), 1)}
            if levels[unit.id] > rules.deepest:
                raise errors.FailedPrecondition(
                    "ORG_TOO_DEEP",
                    f"unit {unit.id} would lie on level {levels[unit.id]} on {day}; {rules.deepest} are allowed",
                    unit_id=unit.id,
                )
            parent = dated.as_of(unit.states, day).parent_id
            if parent and units[parent].state_on(day) == "closed":
                raise errors.FailedPrecondition("PARENT_CLOSED", f"unit {parent} is closed on {day}")


def _days_that_differ(before: UnitRecord | None, after: UnitRecord) -> date:
    """The first of them; what was wrong before stays possible to mend."""
    if before is None:
        return after.states[0].start_date
    differing = {
        one.start_date for one in (*before.states, *after.states) if one not in before.states or one not in after.states
    }
    if before.close_date != after.close_date:
        differing |= {day for day in (before.close_date, after.close_date) if day}
    return min(differing, default=date.max)


def _days_of_moves(unit: UnitRecord) -> set[date]:
    moved = {later.start_date for before, later in pairwise(unit.states) if before.parent_id != later.parent_id}
    return {unit.states[0].start_date, *moved} | ({unit.close_date} if unit.close_date else set())


def check_kind(kind: str, rules: OrgRules) -> None:
    """Raises InvalidArgument KIND_UNKNOWN."""
    if kind not in rules.kinds:
        raise errors.InvalidArgument(
            "KIND_UNKNOWN",
            f"{kind!r} is no level of targets.org; it knows {', '.join(rules.kinds)}",
            {"kind": "unknown"},
        )


def check_zone(zone: str) -> None:
    """Raises InvalidArgument TIME_ZONE_UNKNOWN."""
    try:
        ZoneInfo(zone or "UTC")
    except (KeyError, ValueError, OSError) as error:
        raise errors.InvalidArgument(
            "TIME_ZONE_UNKNOWN", f"{zone!r} is no IANA time zone", {"time_zone": zone}
        ) from error


def digest(*content: object) -> str:
    """Tells whether what others know of a record is still true."""
    return hashlib.sha1(repr(content).encode(), usedforsecurity=False).hexdigest()


def unit_digest(unit: UnitRecord, chart: Chart) -> str:
    state = replace(chart.state(unit.id), start_date=date.min, custom_fields={})
    return digest(state, chart.inherited(unit.id), unit.state_on(chart.day), unit.successor_id)


def person_digest(person: PersonRecord, chart: Chart) -> str:
    state = replace(dated.as_of(person.states, chart.day), start_date=date.min, custom_fields={})
    above = (chart.inherited(state.unit_id), chart.reports_to(person.id, state.unit_id))
    return digest(state, above, person.state_on(chart.day), person.hire_date, person.leave_date)


def next_day_of_change(units: Iterable[UnitRecord], people: Iterable[PersonRecord], after: date) -> date | None:
    """The next day on which the organisation will look different."""
    days: list[date | None] = []
    for unit in units:
        days += [unit.open_date, unit.close_date, *(state.start_date for state in unit.states)]
    for person in people:
        days += [person.hire_date, person.leave_date, *(state.start_date for state in person.states)]
    return min((day for day in days if day is not None and day > after), default=None)
