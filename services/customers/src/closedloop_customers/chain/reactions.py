"""Concerns heard in calls and tickets, and the deals they are about (S36)."""

from __future__ import annotations

from collections.abc import Sequence

from closedloop.funnel.v1 import events_pb2 as funnel
from closedloop.funnel.v1 import opportunities_pb2
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.integrations.v1 import tickets_pb2
from closedloop_chassis import ids, protos
from closedloop_chassis.data import rows
from closedloop_chassis.events.newest import newest
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_customers import records
from closedloop_customers.chain import desk, rules, store
from closedloop_customers.chain.rules import ChainRules, ConcernRules

reactions = Reactions()


@reactions.batch(funnel.OpportunityChanged)
async def opportunities(events: Sequence[Heard[funnel.OpportunityChanged]], work: Work) -> None:
    deals = [event.message for event in newest(events, lambda told: told.opportunity_id).values()]
    part_of = await records.survivors(work.tx, {told.account_id for told in deals if ids.is_id(told.account_id)})
    kept = [
        {
            "opportunity_id": told.opportunity_id,
            "account_id": part_of.get(told.account_id, told.account_id),
            "name": told.name,
            "stage": told.stage_key,
            "open": told.state == opportunities_pb2.OPPORTUNITY_STATE_OPEN,
            "closes_on": protos.day(told.expected_close_date) if told.expected_close_date.year else None,
            "version": told.version,
        }
        for told in deals
        if ids.is_id(told.account_id) and ids.is_id(told.opportunity_id)
    ]
    if kept:
        work.tx.do(store.PUT_OPPORTUNITIES, {"rows": rows.pack(kept)})


@reactions.on(funnel.TranscriptAnalyzed)
async def objections(event: Heard[funnel.TranscriptAnalyzed], work: Work) -> None:
    told = event.message
    account_id = await _known(work, told.account_id)
    if account_id is None or not told.objections:
        return
    chain = work.rules(ChainRules)
    graph = await store.graph(work.tx, account_id, "", work.now, chain)
    assert graph is not None
    people = {row["id"]: row for row in graph.people or ()}
    speaker = next((id_ for id_ in await _people(work, told.contact_ids) if id_ in people), "")
    row = people.get(speaker, {"job_title": "", "department": "", "role": ""})
    role = row["role"] or rules.position(row["job_title"], row["department"], chain).role
    stage = next((o["stage"] for o in graph.opportunities or () if o["opportunity_id"] == told.opportunity_id), "")
    settings = work.rules(ConcernRules)
    at = protos.instant(told.start_time) if told.HasField("start_time") else event.time
    for heard in told.objections:
        topic = rules.topic_of(heard.key, f"{heard.name} {heard.sentence}", settings)
        if not topic:
            continue
        await desk.raised(
            work,
            account_id=account_id,
            contact_id=speaker,
            opportunity_id=told.opportunity_id if ids.is_id(told.opportunity_id) else "",
            kind=rules.kind_of(topic, role in chain.executives, settings),
            topic=topic,
            text=settings.topics[topic].title,
            quote=heard.sentence,
            stage=stage,
            severity=settings.heard_severity,
            kept=_kept("transcript", told.transcript_id, event.time.isoformat()),
            at=at,
        )


@reactions.on(integrations.TicketReceived)
async def complaint(event: Heard[integrations.TicketReceived], work: Work) -> None:
    """What a customer complains of hurts."""
    told = event.message.ticket
    if told.kind != tickets_pb2.TICKET_KIND_COMPLAINT:
        return
    settings = work.rules(ConcernRules)
    topic = rules.topic_of("", f"{told.title} {told.text}", settings)
    account_id = await _known(work, told.account_id) if topic else None
    if account_id is None:
        return
    await desk.raised(
        work,
        account_id=account_id,
        contact_id=next(iter(await _people(work, [told.contact_id])), ""),
        opportunity_id="",
        kind="pain",
        topic=topic,
        text=told.title or settings.topics[topic].title,
        quote=told.need_sentence or told.title,
        stage="",
        severity=settings.ticket_severity,
        kept=_kept("ticket", told.id or told.number, event.time.isoformat()),
        at=protos.instant(told.open_time) if told.HasField("open_time") else event.time,
    )


async def _known(work: Work, account_id: str) -> str | None:
    key = ("account", account_id)
    standing = (await records.find(work.tx, [key])).get(key)
    return standing.id if standing is not None else None


async def _people(work: Work, contact_ids: Sequence[str]) -> list[str]:
    """Who these are by now, in their order; unknown ones are missing. One round trip where one is named."""
    keys = [("contact", id_) for id_ in contact_ids if ids.is_id(id_)]
    standing = await records.find(work.tx, keys) if keys else {}
    return [standing[key].id for key in keys if key in standing]


def _kept(source: str, source_id: str, observed: str) -> dict[str, str]:
    return {"source": source, "source_id": source_id, "brought_by": source, "observed_time": observed}
