"""Which activity proves which action is found anew whenever something of their owner becomes known."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from closedloop_chassis.data import rows
from closedloop_chassis.work import Work
from closedloop_targets.actions import store
from closedloop_targets.actions.rules import ActionRules, Proof, Provable, matched


@dataclass(frozen=True, slots=True)
class Standing(Provable):
    """An action and the activity that proves it so far; empty: none."""

    evidence: str


async def prove(work: Work, owners: Collection[str]) -> None:
    """Two reads and two writes, however many owners."""
    allowed = work.rules(ActionRules)
    actions = await work.tx.all(store.PROVABLE, {"owners": sorted(owners)}, into=Standing)
    if not actions:
        return
    window = timedelta(days=allowed.match_days)
    span = {"since": min(one.date for one in actions) - window, "until": max(one.date for one in actions) + window}
    proofs = await work.tx.all(store.PROOFS, {"owners": sorted(owners), **span}, into=Proof)
    found = matched(actions, proofs, allowed.match_days)
    changed = [one for one in actions if one.evidence != found.get(one.id, "")]
    if not changed:
        return
    at = {proof.activity_id: proof.at for proof in proofs}
    until = work.home.today() - timedelta(days=allowed.grace_days)
    if released := [one.id for one in changed if one.evidence]:
        work.tx.do(store.RELEASE, {"ids": released, "until": until})
    proven = [
        {"id": one.id, "evidence": found[one.id], "completed_at": at[found[one.id]]}
        for one in changed
        if one.id in found
    ]
    if proven:
        work.tx.do(store.PROVE, {"rows": rows.pack(proven)})
