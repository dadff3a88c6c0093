"""A conversation is taken in: read, kept, told, and noted as a contact where none was logged (S42, S48)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import events_pb2 as events
from closedloop.funnel.v1 import transcripts_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.data import rows
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_funnel.activities import heard as activities
from closedloop_funnel.advice import soon as advice
from closedloop_funnel.talk import store
from closedloop_funnel.talk.listening import Said
from closedloop_funnel.talk.reading import Reader, Reading
from closedloop_funnel.talk.rules import TalkRules, churn_light
from closedloop_funnel.talk.store import Around, Hearing, Transcript
from closedloop_funnel.warnings import raising
from closedloop_funnel.warnings.record import Warning
from closedloop_funnel.words import number

# The rulebook in force and the one before it, made ready; a new one takes some milliseconds.
_readers: list[Reader] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A conversation as it comes; `speakers` one for each utterance."""

    owner_id: str
    unit_id: str
    source: str
    source_id: str
    source_version: int = 0
    channel: str
    account_id: str | None
    opportunity_id: str | None
    activity_id: str | None
    contact_ids: list[str]
    started: datetime
    language: str
    said: Sequence[Said]
    speakers: Sequence[str]


def reader(rules: TalkRules) -> Reader:
    for one in _readers:
        if one.rules is rules:
            return one
    _readers[:] = [Reader(rules), *_readers[:1]]
    return _readers[0]


async def read(work: Work, said: Sequence[Said], around: Around) -> Reading:
    """Off the event loop: a talk of hours must not hold up who else calls. Raises InvalidArgument TRANSCRIPT_TOO_LONG."""
    rules = work.rules(TalkRules)
    size = sum(len(one.text) for one in said)
    if size > rules.longest_characters:
        raise errors.InvalidArgument(
            "TRANSCRIPT_TOO_LONG",
            f"{size} characters; there may be {rules.longest_characters}",
            {"utterances": "too much text"},
        )
    deal, account = around.opportunity or {}, around.account or {}
    customer_type = deal.get("customer_type") or account.get("customer_type", "")
    return await asyncio.to_thread(reader(rules).read, said, deal.get("stage_key", ""), customer_type)


async def take(work: Work, brought: Brought, around: Around, actor: str) -> tuple[Transcript, list[Hearing]]:
    reading = await read(work, brought.said, around)
    transcript_id = new_id()
    hearings = _hearings(transcript_id, reading, brought)
    activity_id = brought.activity_id
    if activity_id:
        activities.attach(work, activity_id, transcript_id)
    else:
        activity_id = activities.log(
            work,
            transcript_id=transcript_id,
            kind=brought.channel,
            owner_id=brought.owner_id,
            unit_id=brought.unit_id,
            actor=actor,
            account_id=brought.account_id,
            opportunity_id=brought.opportunity_id,
            contact_ids=brought.contact_ids,
            started=brought.started,
            ended=brought.started + timedelta(milliseconds=_length_ms(brought.said)),
            content=_content(brought.said, hearings),
        )
    kept = Transcript(
        id=transcript_id,
        owner_id=brought.owner_id,
        unit_id=brought.unit_id,
        source=brought.source,
        source_id=brought.source_id,
        brought_by=actor,
        activity_id=activity_id,
        created_at=work.now,
        **_read(reading, brought, work),
    )
    work.tx.do(store.ADD, {"rows": rows.pack([kept])}, refuse=store.DUPLICATE)
    _tell(work, "take", kept, hearings, around)
    return kept, hearings


async def again(work: Work, before: Transcript, brought: Brought, around: Around) -> None:
    """A later version says more, or is linked to more: what was kept of the earlier one is replaced. Who judged a sentence
    that is still heard has judged it; a log that people have corrected stays as they wrote it."""
    reading = await read(work, brought.said, around)
    known = {(one.kind, one.key, one.sentence): one for one in (await store.hearings(work.tx, [before.id]))[before.id]}
    hearings = [
        replace(one, id=was.id, review=was.review, reviewer_id=was.reviewer_id, corrected_key=was.corrected_key)
        if (was := known.pop((one.kind, one.key, one.sentence), None))
        else one
        for one in _hearings(before.id, reading, brought)
    ]
    kept = replace(before, **_read(reading, brought, work))
    work.tx.do(store.SAVE, {"rows": rows.pack([kept])})
    if replace(kept, source_version=before.source_version) == before:
        return
    work.tx.do(store.FORGET_HEARINGS, {"id": kept.id})
    if kept.activity_id:
        await activities.grow(
            work,
            kept.activity_id,
            account_id=kept.account_id,
            opportunity_id=kept.opportunity_id,
            contact_ids=kept.contact_ids,
            ended=kept.started_at + timedelta(milliseconds=kept.length_ms),
            content=_content(brought.said, hearings),
        )
    _tell(work, "take_again", kept, hearings, around)


def _hearings(transcript_id: str, reading: Reading, brought: Brought) -> list[Hearing]:
    return [
        Hearing(
            id=new_id(),
            transcript_id=transcript_id,
            kind=one.kind,
            key=one.key,
            name=one.name,
            sentence=one.hit.sentence,
            utterance_index=one.hit.index,
            offset_ms=brought.said[one.hit.index].start_ms,
            confidence=one.confidence,
            suggested_reply=one.reply,
        )
        for one in reading.heard
    ]


def _read(reading: Reading, brought: Brought, work: Work) -> dict[str, Any]:
    """What is kept of one version of a conversation."""
    return {
        "source_version": brought.source_version,
        "channel": brought.channel,
        "account_id": brought.account_id,
        "opportunity_id": brought.opportunity_id,
        "contact_ids": brought.contact_ids,
        "started_at": brought.started,
        "length_ms": _length_ms(brought.said),
        "language": brought.language or reading.language,
        "utterances": utterances(brought.said, brought.speakers),
        "intent": reading.intent,
        "intent_change": reading.intent_change,
        "churn": reading.churn,
        "churn_light": churn_light(work.rules(TalkRules), reading.churn),
        "seller_share": reading.seller_share,
        "rule_version": work.process.rulebooks.version(TalkRules, work.now),
        "late": reading.late,
    }


def utterances(said: Sequence[Said], speakers: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"side": one.side, "speaker": speaker, "start_ms": one.start_ms, "end_ms": one.end_ms, "text": one.text}
        for one, speaker in zip(said, speakers, strict=True)
    ]


def words(kept: Transcript) -> tuple[list[Said], list[str]]:
    """What was said, and by whom, as `utterances` keeps it."""
    said = [Said(one["side"], one["text"], one["start_ms"], one["end_ms"]) for one in kept.utterances]
    return said, [one["speaker"] for one in kept.utterances]


def _length_ms(said: Sequence[Said]) -> int:
    return max((max(one.start_ms, one.end_ms) for one in said), default=0)


def _tell(work: Work, action: str, kept: Transcript, hearings: list[Hearing], around: Around) -> None:
    if hearings:
        work.tx.do(store.ADD_HEARINGS, {"rows": rows.pack(hearings)})
    # What was said stays out of the trail.
    work.audit(kept.id, action, after=rows.row(kept, "utterances"))
    work.tell(_analyzed(kept, hearings), kept.id)
    if kept.activity_id:
        advice.on_talk(work, kept.activity_id)
    if kept.churn_light != "none" and (kept.account_id or kept.opportunity_id):
        raising.raise_all(work, [_leaving(kept, around, work)])


def _leaving(kept: Transcript, around: Around, work: Work) -> Warning:
    """What was said stays in the transcript."""
    subject = ("account", kept.account_id, (around.account or around.opportunity or {}).get("account_name") or "")
    if not kept.account_id:
        subject = ("opportunity", kept.opportunity_id, "")
    return raising.warning(
        "churn",
        work,
        light=kept.churn_light,
        subject=(subject[0], str(subject[1]), subject[2]),
        about=(kept.owner_id, kept.unit_id),
        assignee="owner",
        evidence=[raising.evidence("churn", kept.churn, "1"), raising.evidence("intent", kept.intent, "1")],
        rule=common_pb2.RuleReference(
            rulebook=TalkRules.rulebook,
            version=kept.rule_version,
            rule=f"churn_{kept.churn_light}",
            explanation=f"signs of leaving weigh {kept.churn:.2f} in conversation {kept.id}",
        ),
        automatic_action="customers hears of it; the health of the account counts it",
    )


def _content(said: Sequence[Said], hearings: Sequence[Hearing]) -> str:
    """What the log of it says: the customer's sentences that were heard, else his longest."""
    customer = [one.sentence for one in hearings if said[one.utterance_index].side == "customer"]
    if not customer:
        customer = [max((one.text for one in said if one.side == "customer"), key=len, default="")]
    return "; ".join(dict.fromkeys(customer))[:2000]


def _analyzed(kept: Transcript, hearings: Sequence[Hearing]) -> Any:
    first = {one.key: one for one in reversed(hearings) if one.kind == "objection"}
    return events.TranscriptAnalyzed(
        transcript_id=kept.id,
        activity_id=kept.activity_id or "",
        account_id=kept.account_id or "",
        opportunity_id=kept.opportunity_id or "",
        contact_ids=kept.contact_ids,
        channel=number(pb.Channel, kept.channel),
        start_time=protos.timestamp(kept.started_at),
        length=protos.duration(timedelta(milliseconds=kept.length_ms)),
        intent=kept.intent,
        churn_ratio=kept.churn,
        churn_light=number(common_pb2.Light, kept.churn_light),
        objections=[
            events.HeardObjection(key=one.key, name=one.name, sentence=one.sentence)
            for one in sorted(first.values(), key=lambda one: one.utterance_index)
        ],
    )
