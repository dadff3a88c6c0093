"""Who may be written to. A word is kept for ever; the newest of an address, channel and topic counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis.data.rows import pack
from closedloop_chassis.work import Work
from closedloop_integrations.deliveries import rules as delivery_rules
from closedloop_integrations.deliveries import store, wire
from closedloop_integrations.deliveries.rules import DeliveryRules

Key = tuple[str, str | None, str, str]


def addressed(text: str, rules: DeliveryRules) -> str:
    """A mail address or a telephone number in the one spelling by which messages and words about them are known."""
    return text.strip().casefold() if "@" in text else delivery_rules.number_of(text, rules)


def key(row: dict[str, Any]) -> Key:
    return row["address"], row["contact_id"], row["channel"], row["topic"]


async def record(work: Work, rows: Sequence[dict[str, Any]], *, dry: bool = False) -> tuple[int, int]:
    """How many were new, and how many changed what held before; older or repeated words change nothing.

    Messages that wait for somebody who no longer wants them are suppressed at once."""
    newest = {key(row): row for row in sorted(rows, key=lambda row: row["at"])}
    asked = {"rows": pack(newest.values())}
    current = {key(row): row for row in await work.tx.all(store.CURRENT, asked)}
    fresh = [row for row in newest.values() if key(row) not in current]
    changed = [
        row
        for row in newest.values()
        if (held := current.get(key(row))) and held["at"] < row["at"] and held["allowed"] != row["allowed"]
    ]
    written = [*fresh, *changed]
    if dry or not written:
        return len(fresh), len(changed)
    params = {"rows": pack(written), "now": work.now}
    work.tx.do(store.SUPERSEDE, params)
    work.tx.do(store.ADD_CONSENTS, params)
    for row in written:
        subject = row["contact_id"] or row["address"]
        work.tell(events.ConsentChanged(consent=wire.consent(row)), subject)
        shown = {"channel": row["channel"], "topic": row["topic"], "allowed": row["allowed"], "cause": row["cause"]}
        work.audit(row["contact_id"] or row["id"], "consent", after=shown)
    purposes = list(work.rules(DeliveryRules).opt_out_binds)
    stopped = await work.tx.all(store.STOP, {**params, "purposes": purposes}, into=store.Delivery)
    store.step(work.tx, work.now, [(each.id, each.state, each.reason) for each in stopped])
    for each in stopped:
        wire.report(work, each)
    return len(fresh), len(changed)
