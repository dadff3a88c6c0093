"""Takes notices in, one or ten thousand: what is new is kept, matched with customers, and told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from closedloop.integrations.v1 import events_pb2
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_integrations.notices import rules as notice_rules
from closedloop_integrations.notices import store, wire
from closedloop_integrations.notices.rules import Found, Notice, ProcurementRules
from closedloop_integrations.procurement.matching import CustomerName, NoticeMatcher


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many of the notices were new, how many were known with other content, and which these are."""

    created: int
    updated: int
    taken: frozenset[tuple[str, str]] = frozenset()


async def take_in(work: Work, notices: Sequence[Notice], *, dry: bool = False) -> Outcome:
    """Idempotent by (source, source_id) and content; of two in one batch the later counts. `dry` only counts."""
    newest = {(notice.source, notice.source_id): notice for notice in notices}
    known = await store.known(work.tx, list(newest.values()))
    created = [notice for key, notice in newest.items() if key not in known]
    updated = [
        replace(notice, id=before.id, version=before.version + 1, created_at=before.created_at)
        for key, notice in newest.items()
        if (before := known.get(key)) is not None and before.digest != notice.digest
    ]
    if not dry and (created or updated):
        store.put(work.tx, [*created, *updated])
        await _match(work, [*created, *updated], [notice.id for notice in updated])
    taken = frozenset((notice.source, notice.source_id) for notice in (*created, *updated))
    return Outcome(len(created), len(updated), taken)


async def match_late(work: Work, account_id: str) -> None:
    """An account has come, or has a new name: notices that were here before are searched for it."""
    keys = await store.new_names(work.tx, account_id)
    if not keys:
        return
    rules = work.rules(ProcurementRules)
    notices = await store.speaking_of(work.tx, account_id, keys, work.now - timedelta(days=rules.rematch_days))
    if not notices:
        return
    # With all names, because a longer name of another customer may hide this one.
    names = await store.names_in(work.tx, notices)
    accounts = {name.account_id: name for name in names}
    matcher = _matcher(names, rules)
    kept = []
    for notice in notices:
        found = [each for each in notice_rules.judge(notice, matcher, rules) if each.account_id == account_id]
        kept += _differing(work, notice, found, {}, accounts, rules)
    store.put_matches(work.tx, kept)


async def _match(work: Work, notices: Sequence[Notice], changed: Sequence[str]) -> None:
    rules = work.rules(ProcurementRules)
    store.await_accounts(work.tx)
    names = await store.names_in(work.tx, notices)
    accounts = {name.account_id: name for name in names}
    # Making a matcher of all names takes seconds, in which others want answers, too.
    many = len(notices) > store.FEW
    judged = await asyncio.to_thread(_judged, names, notices, rules) if many else _judged(names, notices, rules)
    before: dict[str, dict[str, store.Match]] = {}
    for match in await store.matches_of(work.tx, changed):
        before.setdefault(match.notice_id, {})[match.account_id] = match
    kept = []
    for notice, found in zip(notices, judged, strict=True):
        kept += _differing(work, notice, found, before.get(notice.id, {}), accounts, rules)
    store.put_matches(work.tx, kept)


def _judged(names: Sequence[store.Name], notices: Sequence[Notice], rules: ProcurementRules) -> list[list[Found]]:
    matcher = _matcher(names, rules)
    return [notice_rules.judge(notice, matcher, rules) for notice in notices]


def _differing(
    work: Work,
    notice: Notice,
    found: Sequence[Found],
    before: dict[str, store.Match],
    accounts: dict[str, store.Name],
    rules: ProcurementRules,
) -> list[store.Match]:
    """The matches that are new or other than before; those that are told are told."""
    kept: list[store.Match] = []
    best = notice_rules.best(found)
    for account_id, one in best.items():
        old = before.get(account_id)
        if old is None:
            kept.append(_match_of(work, notice, one, accounts[account_id], rules))
        elif not old.reviewed_by and (old.superseded or old.confidence != one.confidence):
            fresh = _match_of(work, notice, one, accounts[account_id], rules)
            kept.append(replace(fresh, id=old.id, matched_at=old.matched_at, version=old.version + 1))
    for account_id, old in before.items():
        if account_id not in best and not old.superseded and not old.reviewed_by:
            explanation = "the notice was changed and speaks of this customer no longer"
            gone = replace(old, superseded=True, state="rejected", explanation=explanation, version=old.version + 1)
            kept.append(gone)
    for match in kept:
        if match.state == "found" or (match.superseded and before[match.account_id].state == "found"):
            tell(work, match, notice)
    return kept


def tell(work: Work, match: store.Match, notice: Notice) -> None:
    """Subject: the account, so that what is told of one customer stays in order."""
    work.tell(events_pb2.NoticeMatched(match=wire.match(match, notice), version=match.version), match.account_id)


def _match_of(work: Work, notice: Notice, found: Found, name: store.Name, rules: ProcurementRules) -> store.Match:
    return store.Match(
        id=new_id(),
        notice_id=notice.id,
        account_id=found.account_id,
        state=found.state,
        superseded=False,
        confidence=found.confidence,
        matched_name=found.name,
        matched_text=found.text,
        matched_field=found.place,
        rulebook_version=work.process.rulebooks.version(type(rules), work.now),
        rule=f"confidence.{found.place}",
        explanation=found.explanation,
        matched_at=work.now,
        account_name=name.account_name,
        owner_id=name.owner_id,
        unit_id=name.unit_id,
    )


def _matcher(names: Sequence[store.Name], rules: ProcurementRules) -> NoticeMatcher:
    return NoticeMatcher([CustomerName(name.account_id, name.name) for name in names], rules.matching)
