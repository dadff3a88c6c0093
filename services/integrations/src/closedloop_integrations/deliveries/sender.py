"""Hands messages over to their gateways. Runs in the courier.

The guarantee: a message is claimed, and the claim committed, before a single byte of it leaves; the claim counts the
attempt. So one attempt is never made twice. What should have left before quiet hours began waits until the api has looked
at it again. What the gateway certainly did not take is tried again by the rulebook; where its answer was lost, or we died in
mid-send, the lease runs out and the message becomes UNCERTAIN: it may or may not have gone, and only a person sends it again.
Each channel has a poller of its own: a gateway that hangs delays its own messages alone.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from uuid import NAMESPACE_URL, UUID, uuid5

from psycopg.rows import class_row

from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis.courier.database import Connection
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.enums import number
from closedloop_integrations.deliveries import links
from closedloop_integrations.deliveries.chat import DingtalkRobots, WecomRobots
from closedloop_integrations.deliveries.gateway import Gateway, Letter, Receipt
from closedloop_integrations.deliveries.rules import DeliveryRules
from closedloop_integrations.deliveries.sms import AliyunSms, SmsAccess
from closedloop_integrations.deliveries.smtp import SmtpGateway
from closedloop_integrations.outbound import NotSentError, OutsideError, SlowDownError
from closedloop_integrations.polling import Turn, in_force, turn
from closedloop_integrations.settings import outside

# The source whose circuit a channel hangs on.
SOURCES = {"mail": "mail_out", "sms": "sms", "wecom": "wecom", "dingtalk": "dingtalk"}

CLAIM = """
UPDATE delivery
   SET state = 'sending', attempts = attempts + 1, version = version + 1,
       leased_until = clock_timestamp() + make_interval(secs => %(lease)s)
 WHERE id = (SELECT id FROM delivery
              WHERE channel = %(channel)s AND state IN ('queued', 'held') AND due_at <= %(now)s
                AND (quiet_at IS NULL OR quiet_at > %(now)s)
                -- What is gathered leaves with its digest.
                AND NOT (state = 'held' AND reason = 'digest')
              ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id::text AS delivery_id, attempts AS attempt, expires_at, address, robot, recipient_name, sender_name, subject, text,
          message_id, in_reply_to, references_ AS references, purpose
"""
# A lease is real time, whatever the service's clock says.
ABANDONED = """
SELECT id::text, attempts FROM delivery WHERE state = 'sending' AND leased_until < clock_timestamp() ORDER BY leased_until LIMIT 100
"""
# With a paused or a failing channel, thousands may wait until it is night.
OVERDUE = """
SELECT id::text, quiet_at FROM delivery
 WHERE state IN ('queued', 'held') AND quiet_at <= %(now)s AND due_at <= %(now)s ORDER BY quiet_at, id LIMIT 500
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that is ours to hand over now, once."""

    delivery_id: str
    attempt: int
    expires_at: datetime | None
    address: str
    robot: str
    recipient_name: str
    sender_name: str
    subject: str
    text: str
    message_id: str
    in_reply_to: str
    references: str
    purpose: str

    @property
    def letter(self) -> Letter:
        return Letter(
            **{field.name: getattr(self, field.name) for field in fields(Letter) if hasattr(self, field.name)}
        )


def send(desk: Desk, channel: str) -> None:
    """Hands over what is due on the channel, up to the turn's limit."""
    with turn(desk, SOURCES[channel], "queue", configured=outside().speaks(channel)) as mine:
        if mine is not None:
            with desk.connection() as connection:
                rules = in_force(connection, DeliveryRules, desk.now())
            with _gateway(channel, mine, rules) as gateway:
                _send(desk, channel, mine, gateway, rules)


def give_up_leases(desk: Desk) -> None:
    """Says of messages whose sender died that nobody knows what became of them."""
    with desk.connection() as connection:
        abandoned = connection.execute(ABANDONED).fetchall()
    for id, attempt in abandoned:
        _observe(desk, id, attempt, Receipt("unknown", "the sender was interrupted"), lost=True)


def look_again(desk: Desk) -> None:
    """Tells of messages that have not left before quiet hours began."""
    with desk.connection() as connection:
        overdue = connection.execute(OVERDUE, {"now": desk.now()}).fetchall()
    if overdue:
        told = events.DeliveriesOverdue(delivery_ids=[id for id, _ in overdue])
        told.time.FromDatetime(desk.now())
        name = ",".join(f"{id}@{quiet_at.isoformat()}" for id, quiet_at in overdue)
        desk.observe(told, "deliveries", id=uuid5(NAMESPACE_URL, f"overdue:{name}"))


def _send(desk: Desk, channel: str, mine: Turn, gateway: Gateway, rules: DeliveryRules) -> None:
    for count in range(mine.rules.max_requests):
        with desk.connection() as connection:
            claim = _claim(connection, channel, desk.now(), rules.lease_seconds)
        if claim is None:
            mine.idle = count == 0
            return
        if claim.expires_at is not None and claim.expires_at <= desk.now():
            _observe(desk, claim.delivery_id, claim.attempt, None)
            continue
        try:
            receipt = gateway.send(_mail(claim, rules) if channel == "mail" else claim.letter)
        except (NotSentError, SlowDownError) as error:
            wait = error.seconds if isinstance(error, SlowDownError) else 0.0
            _observe(desk, claim.delivery_id, claim.attempt, Receipt("deferred", str(error), retry_after=wait))
            raise
        except OutsideError as error:
            # Whatever else went wrong may have gone wrong after it was taken.
            _observe(desk, claim.delivery_id, claim.attempt, Receipt("unknown", str(error)))
            raise
        _observe(desk, claim.delivery_id, claim.attempt, receipt)
        mine.read += 1
    mine.unfinished = True


def _mail(claim: Claim, rules: DeliveryRules) -> Letter:
    """With addresses of ours, where there are any: to be counted by, and to be rid of us by."""
    letter, ours = claim.letter, links.signed()
    if ours is None:
        return letter
    if claim.purpose in rules.opt_out_binds:
        letter = replace(letter, unsubscribe=ours.leave(claim.delivery_id))
    if claim.purpose in rules.counted:
        text = ours.text(claim.delivery_id, claim.text)
        letter = replace(letter, text=text, html=ours.html(claim.delivery_id, claim.text))
    return letter


def _claim(connection: Connection, channel: str, now: datetime, lease: float) -> Claim | None:
    with connection.cursor(row_factory=class_row(Claim)) as cursor:
        return cursor.execute(CLAIM, {"channel": channel, "now": now, "lease": lease}).fetchone()


def _observe(desk: Desk, delivery_id: str, attempt: int, receipt: Receipt | None, *, lost: bool = False) -> None:
    """`None`: it was too late to send it. What was lost may still be answered, hence an id of its own."""
    told = events.DeliveryAttempted(
        delivery_id=delivery_id,
        attempt=attempt,
        outcome=number(events.AttemptOutcome, receipt.outcome if receipt else "expired"),
        gateway_id=receipt.gateway_id if receipt else "",
        detail=receipt.detail if receipt else "",
        retry_after_seconds=receipt.retry_after if receipt else 0.0,
        bounced=receipt.bounced if receipt else False,
    )
    told.time.FromDatetime(desk.now())
    desk.observe(told, delivery_id, id=uuid5(UUID(delivery_id), f"{attempt}{':lost' if lost else ''}"))


def _gateway(channel: str, mine: Turn, rules: DeliveryRules) -> AbstractContextManager[Gateway]:
    where = outside()
    if channel == "sms":
        access = SmsAccess(where.sms_url, where.sms_key_id, where.sms_key_secret.get_secret_value(), where.sms_sign)
        return AliyunSms(access, rules.sms_templates, mine.rules)
    if channel == "mail":
        return SmtpGateway(where.smtp_url.get_secret_value(), where.mail_from, mine.rules, mine.now)
    if channel == "wecom":
        robots = {name: url.get_secret_value() for name, url in where.wecom_robots.items()}
        return WecomRobots(robots, mine.rules)
    if channel == "dingtalk":
        return DingtalkRobots(where.dingtalk_robots, mine.rules)
    raise NotSentError(f"no gateway for {channel}")
