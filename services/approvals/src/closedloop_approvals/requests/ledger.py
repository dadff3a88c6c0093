"""Puts a change of a request on record: its clock, its trail, its rows, who is told and who is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from google.protobuf.message import Message

from closedloop_approvals.requests import messages, rules, standing, store, trail
from closedloop_approvals.requests.copies import replace
from closedloop_approvals.requests.route import OPEN
from closedloop_approvals.requests.store import Request, Written
from closedloop_approvals.requests.trail import Entry, Sealed
from closedloop_approvals.standing_in import StandIn
from closedloop_chassis.rulebook.rules import ClockSetting
from closedloop_chassis.work import Work

CLOCK = "approvals.decision"
# Who asks, in the trail, when nobody in particular does.
SELF = "approvals"
# What a signer can answer; only these carry the time they took.
ANSWERS = frozenset({"approved", "rejected", "returned"})


@dataclass(frozen=True)
class Change:
    """A request before (None: there was none) and after, and what is to be said of it on the trail."""

    before: Request | None
    after: Request
    action: str
    entries: tuple[Entry, ...]
    stand_ins: Sequence[StandIn] = ()
    # Messages for this change besides those that every change of this sort brings.
    notices: tuple[Message, ...] = field(default=())
    resubmitted: bool = False
    # Another matter than was asked before: its time begins anew, at the first level.
    restarted: bool = False

    @property
    def closes(self) -> bool:
        return self.before is not None and self.before.state in OPEN and self.after.state not in OPEN

    @property
    def comment(self) -> str:
        return self.entries[-1].comment if self.entries else ""


async def record(work: Work, changes: Sequence[Change]) -> list[Request]:
    """Answers the requests as they were recorded. No round trip, except one where a clock pauses or runs on."""
    recorded, _ = await recorded_with_trail(work, changes)
    return recorded


async def recorded_with_trail(work: Work, changes: Sequence[Change]) -> tuple[list[Request], list[Sealed]]:
    """As `record`, with the new links of the trails."""
    links: list[Sealed] = []
    recorded: list[Request] = []
    for change in changes:
        after, sealed = _sealed(work, change, await _timed(work, change))
        links += sealed
        recorded.append(after)
        _tell(work, change, after)
        # "X for Y" stands in the audit trail too, of each of many.
        work.on_behalf_of = next((e.on_behalf_of for e in change.entries if e.actor_id == work.actor), "")
        work.audit(after.id, change.action, _figures(change.before), _figures(after))
    written = [
        Written(change.before, after, anew=change.before is None or change.resubmitted)
        for change, after in zip(changes, recorded, strict=True)
    ]
    store.save(work.tx, written, links)
    closed = [after for change, after in zip(changes, recorded, strict=True) if change.closes]
    if decided := [request.id for request in closed if request.state in ("approved", "rejected")]:
        work.clocks.meet(CLOCK, *decided)
    if gone := [request.id for request in closed if request.state in ("recalled", "withdrawn")]:
        work.clocks.cancel(CLOCK, *gone)
    return recorded, links


async def _timed(work: Work, change: Change) -> Request:
    """The request with its times as they follow from the change of state."""
    before, after = change.before, change.after
    was, now = before.state if before else "", work.now
    if change.restarted:
        # What was asked before is not answered any more; nor is what comes now late because that was.
        work.clocks.cancel(CLOCK, after.id)
        after = replace(after, due_at=None, running_since=None, elapsed=timedelta(), escalation_level=0)
    if after.state == "pending":
        if was == "pending" and not change.restarted:
            return after
        goes_on = was == "returned" and not change.restarted
        due_at = await work.clocks.resume(CLOCK, after.id) if goes_on else None
        return replace(after, due_at=due_at or _start(work, after), running_since=now)
    if was == "pending" and after.running_since is not None:
        spent = work.calendars.between(after.running_since, now, after.decision["calendar"], after.unit_id)
        after = replace(after, elapsed=after.elapsed + spent, running_since=None)
    if after.state == "returned" and was == "pending":
        await work.clocks.pause(CLOCK, after.id)
    return replace(after, due_at=None, closed_at=now if change.closes or before is None else after.closed_at)


def _start(work: Work, request: Request) -> datetime:
    setting = ClockSetting.model_validate(request.decision)
    return work.clocks.start(CLOCK, request.id, setting, owner_id=request.owner_id, unit_id=request.unit_id)


def _sealed(work: Work, change: Change, after: Request) -> tuple[Request, list[Sealed]]:
    before = change.before
    asked: dict[int, list[str]] = {}
    for step, signer in rules.newly_asked(before.route if before and not change.resubmitted else None, after.route):
        asked.setdefault(step, []).append(signer.person_id)
    # Whom an escalation or a hand-over asks is said by its own entry.
    told = {person for entry in change.entries for person in entry.person_ids}
    entries = [
        *(_with_figures(entry, before, work) for entry in change.entries),
        *(
            Entry("asked", SELF, step=step, person_ids=tuple(people))
            for step, people in asked.items()
            if not told.issuperset(people)
        ),
    ]
    length, last = (before.trail_length, before.trail_hash) if before else (0, trail.FIRST)
    # A reminder makes nobody's view stale.
    moved = change.action != "remind"
    people = [signer.person_id for step in after.route.steps for signer in step.signers]
    named = [person for entry in change.entries for person in entry.person_ids]
    after = replace(
        after,
        version=before.version + moved if before else 1,
        participants=sorted({*after.participants, *people, *named}),
    )
    if entries:
        entries[-1] = replace(entries[-1], state_hash=standing.state_hash(after))
    links = trail.seal(after.id, length, last, work.now, after.subject_version, entries)
    return replace(after, trail_length=length + len(links), trail_hash=links[-1].hash if links else last), links


def _with_figures(entry: Entry, before: Request | None, work: Work) -> Entry:
    """An answer with the time it took on the policy's calendar, since the one it speaks for was asked."""
    if before is None or entry.action not in ANSWERS:
        return entry
    asked = [
        s.asked_at for s in rules.rows_of(before.route, {entry.signer}, entry.step).get(entry.step, ()) if s.asked_at
    ]
    if not asked:
        return entry
    took = work.calendars.between(min(asked), work.now, before.decision["calendar"], before.unit_id)
    in_time = before.escalation_level == 0 and (before.due_at is None or work.now <= before.due_at)
    return replace(entry, took_seconds=took.total_seconds(), in_time=in_time)


def _tell(work: Work, change: Change, after: Request) -> None:
    was = change.before.state if change.before else ""
    if after.state == "pending" and (was != "pending" or change.resubmitted):
        work.tell(messages.opened(after), after.id)
    elif after.state in ("approved", "rejected") and (was != after.state):
        work.tell(messages.decided(after, change.comment), after.id)
    elif after.state == "returned" and was == "pending":
        entry = change.entries[0]
        work.tell(messages.returned(after, entry.actor_id, entry.on_behalf_of, entry.comment, work), after.id)
    elif after.state == "recalled" and was != "recalled":
        work.tell(messages.recalled(after, change.comment, work), after.id)
    for message in change.notices:
        work.tell(message, after.id)
    if not change.notices:
        _notify(work, change, after)


def _notify(work: Work, change: Change, after: Request) -> None:
    """Whoever is asked learns it, and whoever stands in for them."""
    before = change.before.route if change.before and not change.resubmitted else None
    people = dict.fromkeys(signer.person_id for _, signer in rules.newly_asked(before, after.route))
    for person_id in people:
        for recipient in [person_id, *stand_ins(after, person_id, change.stand_ins)]:
            on_behalf_of = person_id if recipient != person_id else ""
            occasion = f"asked:{after.version}"
            work.tell(
                messages.notice("approval_waiting", after, recipient, occasion, work, on_behalf_of=on_behalf_of),
                after.id,
            )


def stand_ins(request: Request, person_id: str, known: Sequence[StandIn]) -> list[str]:
    """Who may sign for this person by a delegation in force and is no party to the matter."""
    return [
        stand_in.delegate_id
        for stand_in in known
        if stand_in.delegator_id == person_id
        and stand_in.delegate_id not in request.parties
        and stand_in.covers_request(request.kind, request.amount_minor, request.currency)
    ]


def _figures(request: Request | None) -> dict[str, Any]:
    if request is None:
        return {}
    return {
        "state": request.state,
        "subject_version": request.subject_version,
        "asked": sorted({signer.person_id for _, signer in request.route.asked()}),
        "escalation_level": request.escalation_level,
        "conditions": request.conditions,
        "trail_hash": request.trail_hash,
    }
