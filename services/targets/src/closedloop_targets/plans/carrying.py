"""Every target is carried by verifiable actions of its owner before its version is published (S15): by what brings in
business where nobody passes it on, by leading where somebody does."""

from __future__ import annotations

from closedloop_chassis import ids
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Call, Work
from closedloop_targets.actions.rules import ActionRules
from closedloop_targets.book import bindings
from closedloop_targets.book.bindings import Binding
from closedloop_targets.book.model import Plan
from closedloop_targets.plans.rules import Obstacle


async def obstacles(work: Work, reader: Reader | Transaction, plan: Plan, number: int) -> list[Obstacle]:
    """Targets with fewer actions than the rulebook asks for; those without any get the usual ones when there are some."""
    allowed = work.rules(ActionRules)
    rows = await reader.all(bindings.CARRIED, {"plan_id": plan.id, "number": number})
    return [
        Obstacle(
            "TOO_FEW_ACTIONS",
            row["id"],
            f"{row['holder_id']}: {row['bound']} verifiable actions carry it, {allowed.least(row['leads'])} are needed",
        )
        for row in rows
        if row["bound"] < allowed.least(row["leads"]) and (row["bound"] or not allowed.usual_for(row["leads"]))
    ]


async def complete(call: Call, plan: Plan, number: int) -> None:
    """The rulebook's usual actions for targets nobody bound anything to. One round trip."""
    allowed = call.rules(ActionRules)
    kinds = {leads: [allowed.kind(code) for code in allowed.usual_for(leads)] for leads in (False, True)}
    rows = await call.tx.all(bindings.CARRIED, {"plan_id": plan.id, "number": number}) if any(kinds.values()) else []
    bindings.add(
        call.tx,
        [
            Binding(
                id=ids.new_id(),
                target_id=row["id"],
                owner_id=row["owner_id"],
                unit_id=row["unit_id"],
                kind=kind.code,
                name=kind.name,
                verification=kind.verification,
                result_metric=kind.result_metric,
                quantity=allowed.usual_quantity,
                start_date=row["start_date"],
                end_date=row["end_date"],
                subject="",
            )
            for row in rows
            if not row["bound"]
            for kind in kinds[row["leads"]]
        ],
    )
