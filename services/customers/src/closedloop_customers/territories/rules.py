"""The tree of territories: what lies where, and what may not (U7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import ClockSetting, Rules


class TerritoryRules(Rules):
    """How often pooled accounts are brought home, besides at every change."""

    rulebook: ClassVar[str] = "customers.territories"

    look_every: ClockSetting = ClockSetting(days=1)


@dataclass(frozen=True, slots=True)
class Territory:
    """As in force on a day. `effective_on` is of its present version; an empty list restricts nothing."""

    id: str
    profile: dict[str, Any]
    effective_on: date
    ended_on: date | None
    version: int

    @property
    def parent_id(self) -> str:
        return str(self.profile.get("parent_id", ""))

    @property
    def unit_id(self) -> str:
        return str(self.profile.get("unit_id", ""))

    def listed(self, name: str) -> list[str]:
        return list(self.profile.get(name, ()))


@dataclass(frozen=True, slots=True)
class Kind:
    """What territories ask of a record; `id` where it is named by one."""

    region_code: str
    industry: str
    product_lines: tuple[str, ...]
    id: str = ""


class Tree:
    """Territories in force on one day."""

    def __init__(self, territories: Iterable[Territory]) -> None:
        self.of = {one.id: one for one in territories}
        self._below: dict[str, list[Territory]] = {}
        for one in sorted(self.of.values(), key=lambda t: (t.profile.get("name", ""), t.id)):
            self._below.setdefault(one.parent_id if one.parent_id in self.of else "", []).append(one)
        self._named = {id_: one.id for one in self.of.values() for id_ in one.listed("account_ids")}

    @property
    def named(self) -> frozenset[str]:
        return frozenset(self._named)

    def ordered(self, root_id: str = "") -> Iterator[Territory]:
        """Parents before children."""
        if root_id and root_id in self.of:
            yield self.of[root_id]
        for child in self._below.get(root_id, ()):
            yield from self.ordered(child.id)

    def path(self, territory_id: str) -> list[Territory]:
        """From the root down to it."""
        found: list[Territory] = []
        while territory_id in self.of and self.of[territory_id] not in found:
            found.insert(0, self.of[territory_id])
            territory_id = self.of[territory_id].parent_id
        return found

    def place(self, kind: Kind) -> list[Territory]:
        """From the root down to the deepest one the record lies in; empty where it lies in none."""
        if kind.id in self._named:
            return self.path(self._named[kind.id])
        found: list[Territory] = []
        ahead = self._below.get("", [])
        while (one := next((one for one in ahead if fits(one, kind)), None)) is not None:
            found.append(one)
            ahead = self._below.get(one.id, [])
        return found

    def siblings(self, territory: Territory) -> list[Territory]:
        above = territory.parent_id if territory.parent_id in self.of else ""
        return [one for one in self._below.get(above, ()) if one.id != territory.id]

    def spec(self, territory_id: str) -> dict[str, Any]:
        """What the SQL function in_territory asks."""
        below = {one.id for one in self.ordered(territory_id)}
        return {
            "named": [id_ for id_, owner in self._named.items() if owner in below],
            "elsewhere": [id_ for id_, owner in self._named.items() if owner not in below],
            "only_named": any(_names_only(one) for one in self.path(territory_id)),
            "levels": [
                {
                    "regions": one.listed("region_codes"),
                    "industries": one.listed("industries"),
                    "lines": one.listed("product_lines"),
                }
                for one in self.path(territory_id)
            ],
        }


def fits(territory: Territory, kind: Kind) -> bool:
    regions, industries = territory.listed("region_codes"), territory.listed("industries")
    lines = territory.listed("product_lines")
    return not _names_only(territory) and (
        (not regions or any(kind.region_code.startswith(code) for code in regions))
        and (not industries or any(_below(kind.industry, code) for code in industries))
        and (not lines or not set(lines).isdisjoint(kind.product_lines))
    )


def check(territory: Territory, tree: Tree) -> None:
    """A territory as it would stand in `tree`. Raises InvalidArgument PARENT_NOT_FOUND, TERRITORY_CYCLE;
    FailedPrecondition OVERLAP (metadata `territory_id`)."""
    parent = territory.parent_id
    if parent and parent not in tree.of:
        raise errors.InvalidArgument("PARENT_NOT_FOUND", f"no territory {parent}", {"profile.parent_id": "unknown"})
    if parent and territory.id in {one.id for one in tree.path(parent)}:
        raise errors.InvalidArgument(
            "TERRITORY_CYCLE", "a territory cannot lie in one that lies in it", {"profile.parent_id": parent}
        )
    for other in tree.siblings(territory):
        if overlaps(territory, other):
            raise errors.FailedPrecondition(
                "OVERLAP", f"it overlaps {other.profile.get('name', other.id)}", territory_id=other.id
            )


def overlaps(one: Territory, other: Territory) -> bool:
    """Whether some record would lie in both. One that only names accounts overlaps where the other names one too."""
    if not set(one.listed("account_ids")).isdisjoint(other.listed("account_ids")):
        return True
    if _names_only(one) or _names_only(other):
        return False
    return (
        _meet(one.listed("region_codes"), other.listed("region_codes"), lambda a, b: a.startswith(b))
        and _meet(one.listed("industries"), other.listed("industries"), _below)
        and _meet(one.listed("product_lines"), other.listed("product_lines"), lambda a, b: a == b)
    )


def tree_on(versions: Mapping[str, Sequence[Territory]], day: date) -> Tree:
    """`versions` of each, in the order of their days."""
    found = []
    for history in versions.values():
        begun = [one for one in history if one.effective_on <= day]
        if begun and (begun[-1].ended_on is None or day < begun[-1].ended_on):
            found.append(begun[-1])
    return Tree(found)


def _names_only(territory: Territory) -> bool:
    names = ("region_codes", "industries", "product_lines")
    return bool(territory.listed("account_ids")) and not any(territory.listed(name) for name in names)


def _meet(one: list[str], other: list[str], below: Any) -> bool:
    return not one or not other or any(below(a, b) or below(b, a) for a in one for b in other)


def _below(code: str, above: str) -> bool:
    return code == above or code.startswith(f"{above}.")
