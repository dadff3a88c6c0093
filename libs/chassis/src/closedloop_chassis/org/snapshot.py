"""The org tree as it is now, small enough to be held in memory whole and read without waiting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from closedloop_chassis.data.transaction import Reader

UNITS = """
SELECT id, parent_id, name, kind, manager_id, calendar, time_zone, currency_code, territory, active, version FROM org_unit
"""
PEOPLE = """
SELECT id, unit_id, name, title, roles, function, email, mobile, handles, time_zone, language, territory, active, version
  FROM org_person
"""

Territory = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Unit:
    """A node of the org tree; `kind` is company, region, area or team. Calendar, zone and currency are resolved."""

    id: str
    parent_id: str
    name: str
    kind: str
    manager_id: str
    calendar: str
    time_zone: str
    currency_code: str
    territory: Territory
    active: bool
    version: int


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the company; `roles` as in tokens ("rep", "manager"…), `function` "sales", "finance", "legal"…"""

    id: str
    unit_id: str
    name: str
    title: str
    roles: list[str]
    function: str
    email: str
    mobile: str
    handles: dict[str, str]
    time_zone: str
    language: str
    territory: Territory
    active: bool
    version: int


class OrgSnapshot:
    """Never changes; a newer tree is another snapshot."""

    def __init__(self, units: Iterable[Unit] = (), people: Iterable[Person] = ()) -> None:
        self.units = {unit.id: unit for unit in units}
        self.people = {person.id: person for person in people}
        self._children: dict[str, list[str]] = defaultdict(list)
        self._members: dict[str, list[Person]] = defaultdict(list)
        for unit in self.units.values():
            self._children[unit.parent_id].append(unit.id)
        for person in self.people.values():
            self._members[person.unit_id].append(person)
        self._subtrees: dict[str, frozenset[str]] = {}

    def unit(self, unit_id: str) -> Unit | None:
        return self.units.get(unit_id)

    def person(self, person_id: str) -> Person | None:
        return self.people.get(person_id)

    def members(self, unit_id: str) -> list[Person]:
        """The people of exactly this unit."""
        return self._members.get(unit_id, [])

    def children(self, unit_id: str) -> list[Unit]:
        return [self.units[child] for child in self._children.get(unit_id, ())]

    def subtree(self, unit_id: str) -> frozenset[str]:
        """Ids of the unit and of all units below it; empty for an unknown unit."""
        if unit_id not in self.units:
            return frozenset()
        if unit_id not in self._subtrees:
            found, ahead = {unit_id}, [unit_id]
            while ahead:
                below = [child for child in self._children.get(ahead.pop(), ()) if child not in found]
                found.update(below)
                ahead.extend(below)
            self._subtrees[unit_id] = frozenset(found)
        return self._subtrees[unit_id]

    def ancestry(self, unit_id: str) -> Iterator[str]:
        """The unit, its parent, and so on up to the company."""
        seen: set[str] = set()
        while unit_id in self.units and unit_id not in seen:
            seen.add(unit_id)
            yield unit_id
            unit_id = self.units[unit_id].parent_id

    def unit_of_kind(self, unit_id: str, kind: str) -> Unit | None:
        """The nearest unit of that kind at or above this one."""
        return next((self.units[unit] for unit in self.ancestry(unit_id) if self.units[unit].kind == kind), None)

    def manager_of(self, unit_id: str) -> Person | None:
        """Who leads the unit: its own manager, or the nearest one above."""
        for unit in self.ancestry(unit_id):
            manager = self.people.get(self.units[unit].manager_id)
            if manager is not None and manager.active:
                return manager
        return None

    def line_of(self, person_id: str) -> list[Person]:
        """The person's managers, the nearest first; never the person, nobody twice, only active people."""
        person = self.people.get(person_id)
        line: list[Person] = []
        for unit in self.ancestry(person.unit_id if person else ""):
            manager = self.people.get(self.units[unit].manager_id)
            if manager is not None and manager.active and manager.id != person_id and manager not in line:
                line.append(manager)
        return line


class Org:
    """Holds the current snapshot; `reload` replaces it."""

    def __init__(self) -> None:
        self.current = OrgSnapshot()

    async def reload(self, reader: Reader) -> None:
        self.current = OrgSnapshot(await reader.all(UNITS, into=Unit), await reader.all(PEOPLE, into=Person))
