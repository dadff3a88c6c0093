"""Finds the people whom a rule names in words: "manager_of_owner", "role:finance", "person:E001"."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import StringConstraints

from closedloop_chassis.org.snapshot import OrgSnapshot, Person

_ONE = r"(owner|submitter|[a-z_]{1,40}_of_(owner|submitter|parent_unit)|role:[a-z_]{1,40}|person:[A-Za-z0-9._-]{1,64})"
# Who is asked, in words of the rulebook; `<title>_of_owner` by its titles. "a|b": b where a names nobody.
Word = Annotated[str, StringConstraints(pattern=rf"^{_ONE}(\|{_ONE}){{0,4}}$")]

# Who has no other role may sign and settle nothing by the contract: asked, he could not answer.
ONLY_LOOK = frozenset({"executive", "auditor", "admin", "service", "integration"})


@dataclass(frozen=True, slots=True)
class About:
    """Whose matter it is: the persons and the unit from which words are resolved."""

    owner_id: str
    unit_id: str
    submitter_id: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One person for a word; `instead_of` was named first and passed over: gone, or a party to the matter."""

    person_id: str
    reason: str
    instead_of: str = ""


def find(
    word: str, about: About, org: OrgSnapshot, titles: Mapping[str, str], never: Collection[str] = ()
) -> list[Candidate]:
    """People who may answer for `word`, any one of them; empty when there is nobody. `never` are passed over."""

    def fits(person_id: str) -> bool:
        person = org.person(person_id)
        return person is not None and may_act(person) and person_id not in never

    for one in word.split("|"):
        if found := _find(one, about, org, titles, fits):
            return found
    return []


def may_act(person: Person) -> bool:
    """Of the company, and not there to look on alone. Whose roles are not told here has them in his token."""
    return person.active and not only_looks(person.roles)


def only_looks(roles: Collection[str]) -> bool:
    return bool(roles) and ONLY_LOOK.issuperset(roles)


def vacant(word: str, org: OrgSnapshot, titles: Mapping[str, str]) -> bool:
    """Whether `word` names nobody whosever matter it is: no such person, function, role or title."""
    return all(_vacant(one, org, titles) for one in word.split("|"))


def _vacant(word: str, org: OrgSnapshot, titles: Mapping[str, str]) -> bool:
    kind, _, name = word.partition(":")
    active = [person for person in org.people.values() if may_act(person)]
    if kind == "role":
        return not any(person.function == name or name in person.roles for person in active)
    if kind == "person":
        return not any(person.id == name for person in active)
    title = word.partition("_of_")[0]
    if title in ("owner", "submitter", "manager") or title in titles:
        return False
    return not any(unit.kind == title for unit in org.units.values())


def next_above(person_id: str, org: OrgSnapshot, never: Collection[str] = ()) -> str:
    """The nearest manager up the person's line who is not in `never`; empty at the top."""
    return next((person.id for person in org.line_of(person_id) if person.id not in never and may_act(person)), "")


def _find(
    word: str, about: About, org: OrgSnapshot, titles: Mapping[str, str], fits: Callable[[str], bool]
) -> list[Candidate]:
    kind, _, name = word.partition(":")
    if kind == "role":
        return [Candidate(person.id, word) for person in _holders(name, _unit(about, org), org, fits)]
    if kind == "person" and fits(name):
        return [Candidate(name, word)]
    if kind == "person":
        line = [name, *(person.id for person in org.line_of(name))]
    elif word == "owner":
        line = [about.owner_id, *_line(about.owner_id, about.unit_id, org)]
    elif word == "submitter":
        line = [about.submitter_id, *_line(about.submitter_id, about.unit_id, org)]
    else:
        line = _above(word, about, org, titles)
    chosen = next((person_id for person_id in line if fits(person_id)), None)
    if chosen is None:
        return []
    return [Candidate(chosen, word, instead_of=line[0] if line[0] != chosen else "")]


def _above(word: str, about: About, org: OrgSnapshot, titles: Mapping[str, str]) -> list[str]:
    title, _, whose = word.partition("_of_")
    if whose == "parent_unit":
        unit = org.unit(about.unit_id)
        return _leaders(unit.parent_id if unit and unit.parent_id else about.unit_id, org)
    person_id = about.submitter_id if whose == "submitter" else about.owner_id
    line = _line(person_id, about.unit_id, org)
    if title == "manager":
        return line
    unit_of_kind = org.unit_of_kind(_unit(about, org), titles.get(title, title))
    # Where the tree has no such unit, the top of the line answers for it.
    return _leaders(unit_of_kind.id, org) if unit_of_kind else line[-1:]


def _line(person_id: str, unit_id: str, org: OrgSnapshot) -> list[str]:
    if org.person(person_id) is None:
        return _leaders(unit_id, org)
    return [person.id for person in org.line_of(person_id)]


def _leaders(unit_id: str, org: OrgSnapshot) -> list[str]:
    return list(
        dict.fromkeys(org.units[unit].manager_id for unit in org.ancestry(unit_id) if org.units[unit].manager_id)
    )


def _unit(about: About, org: OrgSnapshot) -> str:
    person = org.person(about.owner_id)
    return about.unit_id or (person.unit_id if person else "")


def _holders(name: str, unit_id: str, org: OrgSnapshot, fits: Callable[[str], bool]) -> list[Person]:
    """Active people of the function (or role) in the smallest unit around `unit_id` that has any."""
    seen: frozenset[str] = frozenset()
    for around in [*org.ancestry(unit_id), ""]:
        units = org.subtree(around) if around else frozenset(org.units)
        found = [
            person
            for unit in sorted(units - seen)
            for person in org.members(unit)
            if (person.function == name or name in person.roles) and fits(person.id)
        ]
        if found:
            return sorted(found, key=lambda person: person.id)
        seen |= units
    return []
