"""A batch of units and people that may refer to each other: which rows hold, and what they make of the organisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal

from closedloop_chassis import errors, provenance
from closedloop_targets.org import dated, rules
from closedloop_targets.org.rules import OrgRules, PersonRecord, PersonState, UnitRecord, UnitState


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an import. `hire_date` is of people alone; None: the day of the import."""

    position: int
    kind: Literal["unit", "person"]
    id: str
    fields: Mapping[str, Any]
    provenance: dict[str, Any]
    hire_date: date | None = None


@dataclass(slots=True)
class Intake:
    """What a batch would change, by id, and why rows were refused."""

    units: dict[str, UnitRecord] = field(default_factory=dict)
    people: dict[str, PersonRecord] = field(default_factory=dict)
    created: int = 0
    updated: int = 0
    refused: dict[int, errors.DomainError] = field(default_factory=dict)


def take(
    rows: Sequence[Row],
    units: Mapping[str, UnitRecord],
    people: Mapping[str, PersonRecord],
    day: date,
    now: datetime,
    org_rules: OrgRules,
) -> Intake:
    intake = Intake()
    standing = _without_repeats(rows, intake)
    while True:
        refused = _wrong(standing, units, people, day, org_rules) or _circles(standing, units, day)
        if not refused:
            break
        # A row that leans on a refused one falls with it: look again until nothing falls.
        intake.refused.update(refused)
        standing = [row for row in standing if row.position not in refused]
    for row in standing:
        if row.kind == "unit":
            unit = _unit(row, units.get(row.id), day, now)
            new, changed = row.id not in units, unit != units.get(row.id)
            if changed:
                intake.units[row.id] = unit
        else:
            person = _person(row, people.get(row.id), day, now)
            new, changed = row.id not in people, person != people.get(row.id)
            if changed:
                intake.people[row.id] = person
        intake.created += new
        intake.updated += changed and not new
    return intake


def _without_repeats(rows: Sequence[Row], intake: Intake) -> list[Row]:
    seen: set[tuple[str, str]] = set()
    standing: list[Row] = []
    for row in rows:
        if (row.kind, row.id) in seen:
            intake.refused[row.position] = errors.InvalidArgument(
                "ROW_REPEATED", f"{row.kind} {row.id} stands in the batch twice"
            )
        else:
            seen.add((row.kind, row.id))
            standing.append(row)
    return standing


def _wrong(
    rows: Sequence[Row],
    units: Mapping[str, UnitRecord],
    people: Mapping[str, PersonRecord],
    day: date,
    org_rules: OrgRules,
) -> dict[int, errors.DomainError]:
    coming_units = {row.id for row in rows if row.kind == "unit"}
    coming_people = {row.id for row in rows if row.kind == "person"}
    roots = {unit.id for unit in units.values() if not dated.as_of(unit.states, day).parent_id}
    refused: dict[int, errors.DomainError] = {}
    for row in rows:
        try:
            if row.kind == "unit":
                _check_unit(row, units, coming_units, people, coming_people, roots, day, org_rules)
                if not row.fields["parent_id"]:
                    roots.add(row.id)
            else:
                _check_person(row, units, coming_units, people, day)
        except errors.DomainError as error:
            refused[row.position] = error
    return refused


def _check_unit(
    row: Row,
    units: Mapping[str, UnitRecord],
    coming: set[str],
    people: Mapping[str, PersonRecord],
    coming_people: set[str],
    roots: set[str],
    day: date,
    org_rules: OrgRules,
) -> None:
    rules.check_kind(row.fields["kind"], org_rules)
    parent, manager = row.fields["parent_id"], row.fields["manager_id"]
    if not parent and roots - {row.id}:
        raise errors.FailedPrecondition("ROOT_EXISTS", f"{min(roots - {row.id})} is the root; say a parent_id")
    if parent and parent not in units and parent not in coming:
        raise errors.NotFound("PARENT_NOT_FOUND", f"there is no unit {parent}")
    if parent in units and units[parent].state_on(day) == "closed":
        raise errors.FailedPrecondition("PARENT_CLOSED", f"unit {parent} is closed on {day}")
    if row.id in units and units[row.id].state_on(day) == "closed":
        raise errors.FailedPrecondition("UNIT_CLOSED", f"unit {row.id} is closed on {day}")
    if manager and manager not in people and manager not in coming_people:
        raise errors.NotFound("PERSON_NOT_FOUND", f"there is no person {manager}")


def _check_person(
    row: Row, units: Mapping[str, UnitRecord], coming: set[str], people: Mapping[str, PersonRecord], day: date
) -> None:
    unit_id = row.fields["unit_id"]
    if unit_id not in units and unit_id not in coming:
        raise errors.NotFound("UNIT_NOT_FOUND", f"there is no unit {unit_id}")
    if unit_id in units and units[unit_id].state_on(day) == "closed":
        raise errors.FailedPrecondition("UNIT_CLOSED", f"unit {unit_id} is closed on {day}")
    if row.id in people and people[row.id].state_on(day) == "closed":
        raise errors.FailedPrecondition("PERSON_LEFT", f"{row.id} left on {people[row.id].leave_date}")


def _circles(rows: Sequence[Row], units: Mapping[str, UnitRecord], day: date) -> dict[int, errors.DomainError]:
    """Rows whose unit would lie below itself."""
    coming = {row.id: row for row in rows if row.kind == "unit"}
    parents = {unit.id: dated.as_of(unit.states, day).parent_id for unit in units.values()}
    parents |= {row.id: row.fields["parent_id"] for row in coming.values()}
    refused: dict[int, errors.DomainError] = {}
    for unit_id, row in coming.items():
        above, seen = parents[unit_id], {unit_id}
        while above in parents and above not in seen:
            seen.add(above)
            above = parents[above]
        if above == unit_id:
            refused[row.position] = errors.FailedPrecondition("ORG_CYCLE", f"unit {unit_id} would lie below itself")
    return refused


def _unit(row: Row, known: UnitRecord | None, day: date, now: datetime) -> UnitRecord:
    if known is None:
        return UnitRecord(row.id, day, None, "", row.provenance, 0, now, "", (UnitState(day, **row.fields),))
    return replace(
        known,
        open_date=min(known.open_date, day),
        states=dated.change(known.states, day, row.fields),
        provenance=_newer(row.provenance, known.provenance),
    )


def _person(row: Row, known: PersonRecord | None, day: date, now: datetime) -> PersonRecord:
    if known is None:
        hired = row.hire_date or day
        return PersonRecord(row.id, hired, None, row.provenance, 0, now, "", (PersonState(hired, **row.fields),))
    return replace(
        known,
        hire_date=row.hire_date or known.hire_date,
        states=dated.change(known.states, day, row.fields),
        provenance=_newer(row.provenance, known.provenance),
    )


def _newer(given: dict[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
    return kept if not given or provenance.same(given, kept) else given
