"""A week, or any span, of everybody with a target: what alarms and records are made of."""

from __future__ import annotations

from datetime import date

from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Work
from closedloop_targets import company
from closedloop_targets.boards import asking, store
from closedloop_targets.boards.rules import Standing
from closedloop_targets.periods.rules import Period


async def everybody(
    work: Work,
    reader: Reader | Transaction,
    metric: str,
    period: Period,
    today: date,
    only: tuple[str, str] | None = None,
) -> list[tuple[str, Standing]]:
    """(holder kind, standing) of active people and units that have a target, or of `only` (kind, id); a query a kind."""
    org = work.org
    people = [(person.id, person.unit_id) for person in org.people.values() if person.active]
    units = [(unit.id, unit.id) for unit in org.units.values() if unit.active]
    found: list[tuple[str, Standing]] = []
    for kind, everyone in (("unit", units), ("person", people)):
        holders = [one for one in everyone if only in (None, (kind, one[0]))]
        if not holders:
            continue
        standings = await store.standings(
            work,
            reader,
            holders,
            kind=kind,
            metric=metric,
            period=period,
            today=today,
            tops=company.tops(org),
            currency=asking.currency(work, metric),
            closure=company.closure(org, [unit for unit, _ in holders]) if kind == "unit" else None,
        )
        found += [(kind, one) for one in standings if one.target is not None]
    return found
