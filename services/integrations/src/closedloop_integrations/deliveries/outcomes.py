"""What gateways report of messages: late, twice and in any order, each told once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from closedloop.common.v1.common_pb2 import RowError
from closedloop.integrations.v1 import deliveries_pb2 as pb
from closedloop_chassis import bulk, errors, protos
from closedloop_chassis.enums import word
from closedloop_chassis.work import Work
from closedloop_integrations.deliveries import consents, moves, store, wire
from closedloop_integrations.deliveries import rules as delivery_rules
from closedloop_integrations.deliveries.rules import DeliveryRules
from closedloop_integrations.deliveries.store import Delivery

Reported = tuple[int, pb.DeliveryOutcome]


async def take_in(work: Work, given: Sequence[Reported]) -> tuple[int, list[RowError]]:
    """How many told something new, and which were refused."""
    ids = sorted({row.delivery_id for _, row in given if row.delivery_id})
    gateway_ids = sorted({row.gateway_id for _, row in given if row.gateway_id and not row.delivery_id})
    known = _Known(await store.reported(work.tx, ids, gateway_ids))
    refused: list[RowError] = []
    accepted: list[tuple[datetime, Delivery, pb.DeliveryOutcome]] = []
    for position, row in given:
        try:
            at = protos.instant(row.time, "time")
            accepted.append((at, _named(known, row, at, work.now), row))
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
    rules = work.rules(DeliveryRules)
    moved: dict[str, Delivery] = {}
    replies: dict[str, str] = {}
    steps, words, told = [], [], 0
    for at, delivery, row in sorted(accepted, key=lambda each: each[0]):
        state = word(pb.DeliveryState, row.state)
        if delivery_rules.advances(delivery.state, state):
            steps.append(moves.change(work, delivery, state, _reason(state), row.detail))
            moved[delivery.id] = delivery
            told += 1
        if state == "replied" and delivery.id in moved:
            replies.setdefault(delivery.id, row.reply)
        if state == "complained" or (row.reply and delivery_rules.is_opt_out(row.reply, rules)):
            words.append(_opt_out(work, delivery, row, at, "complaint" if state == "complained" else "reply"))
    store.step(work.tx, work.now, steps)
    store.move(work.tx, list(moved.values()))
    for delivery in moved.values():
        wire.report(work, delivery, reply=replies.get(delivery.id, ""))
    if words:
        await consents.record(work, words)
    return told, refused


class _Known:
    """Deliveries by our id, and by the gateway's where it has given it once."""

    def __init__(self, found: Sequence[Delivery]) -> None:
        self.ours = {each.id: each for each in found}
        self.theirs: dict[str, Delivery | None] = {}
        for each in found:
            self.theirs[each.gateway_id] = None if each.gateway_id in self.theirs else each


def _named(known: _Known, row: pb.DeliveryOutcome, at: datetime, now: datetime) -> Delivery:
    """Raises NotFound DELIVERY_UNKNOWN, InvalidArgument OUTCOME_NOT_REPORTABLE, TIME_IN_FUTURE, NOTHING_NAMED."""
    if word(pb.DeliveryState, row.state) not in delivery_rules.REPORTABLE:
        raise errors.InvalidArgument(
            "OUTCOME_NOT_REPORTABLE", "no gateway decides that", {"state": "an outcome after the hand-over"}
        )
    if at > now:
        raise errors.InvalidArgument("TIME_IN_FUTURE", "it has not been yet", {"time": "in the future"})
    if not row.delivery_id and not row.gateway_id:
        raise errors.InvalidArgument("NOTHING_NAMED", "our id or the gateway's", {"delivery_id": "required"})
    found = known.ours.get(row.delivery_id) if row.delivery_id else known.theirs.get(row.gateway_id)
    if found is None:
        raise errors.NotFound("DELIVERY_UNKNOWN", "no delivery of that id, or several")
    return found


def _reason(state: str) -> str:
    return state if state in delivery_rules.FINAL else ""


def _opt_out(work: Work, delivery: Delivery, row: pb.DeliveryOutcome, at: datetime, cause: str) -> dict[str, Any]:
    return store.new_consent(
        address=delivery.address,
        contact_id=delivery.contact_id,
        channel=delivery.channel,
        allowed=False,
        cause=cause,
        at=at,
        source=row.provenance.source,
        source_id=row.provenance.source_id,
        brought_by=work.actor,
    )
