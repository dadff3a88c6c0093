"""What other slices may ask of territories: what lies in one; and bringing pooled accounts home to their unit."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from closedloop_chassis import errors
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_customers import explanations
from closedloop_customers.accounts import desk as accounts
from closedloop_customers.assignment import desk as assignment
from closedloop_customers.territories import store
from closedloop_customers.territories.rules import Kind, TerritoryRules, Tree, tree_on


async def tree(work: Work, reader: Reader | Transaction) -> Tree:
    """The tree in force today. One round trip."""
    return tree_on(await store.versions(reader), work.home.today())


async def spec(work: Work, territory_id: str) -> Jsonb | None:
    """What lists filter by; None where no territory is asked for. Raises InvalidArgument TERRITORY_NOT_FOUND."""
    if not territory_id:
        return None
    present = await tree(work, work.db)
    if territory_id not in present.of:
        raise errors.InvalidArgument(
            "TERRITORY_NOT_FOUND", f"no territory {territory_id} today", {"territory_id": "unknown"}
        )
    return Jsonb(present.spec(territory_id))


async def bring_home(work: Work, present: Tree) -> int:
    """Pooled accounts lie in the pool of the unit of their deepest territory; answers how many moved."""
    moved: dict[str, tuple[str, str]] = {}
    for row in await work.tx.all(store.POOLED):
        path = present.place(_kind(row))
        if path and path[-1].unit_id != row["unit_id"]:
            moved[row["id"]] = ("", path[-1].unit_id)
    if not moved:
        return 0
    before = await accounts.locked(work.tx, sorted(moved))
    still = {id_: account for id_, account in before.items() if not account.owner_id}
    rule = explanations.because(work, TerritoryRules, "territory", "the unit of its deepest territory")
    chosen = {id_: assignment.Choice("", moved[id_][1], rule) for id_ in still}
    assignment.give(work, "account", chosen, "rules", "territory", dict.fromkeys(still, ""), "unassigned")
    accounts.hand_over_many(work, still, {id_: moved[id_] for id_ in still})
    return len(still)


def _kind(row: dict[str, Any]) -> Kind:
    return Kind(row["region_code"], row["industry"], tuple(row["product_lines"]), row["id"])
