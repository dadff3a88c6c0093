"""Opt-outs told by integrations close channels of contacts at once."""

from __future__ import annotations

from closedloop.integrations.v1 import deliveries_pb2
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop_chassis import enums, protos
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers import identifiers
from closedloop_customers.contacts import desk, store

reactions = Reactions()

# Channels of deliveries as channels of touches.
CHANNELS = {"": "", "mail": "email", "sms": "sms", "wecom": "wechat", "dingtalk": "wechat"}


@reactions.on(integrations.ConsentChanged)
async def note_opt_out(event: Heard[integrations.ConsentChanged], work: Work) -> None:
    consent = event.message.consent
    channel = CHANNELS[enums.word(deliveries_pb2.Channel, consent.channel)]
    key = _key(work, consent.address)
    row = {
        "address": key or f"contact:{consent.contact_id}",
        "channel": channel,
        "topic": consent.topic,
        "contact_id": consent.contact_id or None,
        "allowed": consent.allowed,
        "cause": consent.cause,
        "told_at": protos.instant(consent.time) if consent.HasField("time") else event.time,
    }
    # A topic alone closes no channel; wake-ups ask for it.
    if not await store.put_opt_out(work.tx, row) or consent.topic:
        return
    found = await store.by_keys(work.tx, [key] if key else [], [consent.contact_id] if consent.contact_id else [])
    desk.close_channels(work, found, channel, allowed=consent.allowed)


def _key(work: Work, address: str) -> str:
    if "@" in address:
        return f"mail:{identifiers.mail(address)}"
    number = identifiers.phone(address, work.rules(identifiers.MatchingRules).country_prefix)
    return f"phone:{number}" if number else ""
