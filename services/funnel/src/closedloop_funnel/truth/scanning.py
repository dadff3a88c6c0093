"""Logs are looked at: findings come and go, and what they make of a log is told."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

from closedloop.common.v1 import common_pb2
from closedloop_chassis.data import rows
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_funnel.activities import proto as activities
from closedloop_funnel.activities.record import Activity
from closedloop_funnel.activities.rules import ActivityRules, effective
from closedloop_funnel.attachments.rules import AttachmentRules
from closedloop_funnel.truth import rules, store
from closedloop_funnel.truth.prints import prints
from closedloop_funnel.truth.rules import KindWord, Log, TruthRules, bare
from closedloop_funnel.truth.store import Finding
from closedloop_funnel.warnings import raising
from closedloop_funnel.warnings.rules import WarningRules

ACTIVITIES = (
    f"SELECT {rows.listed(Activity, 'v')} FROM activity v WHERE id = ANY(%(ids)s::uuid[]) ORDER BY id FOR UPDATE"
)
SAVE = rows.update("activity", Activity)
# Logs of colleagues that are compared with one; more alike ones are what everybody writes.
MOST_ALIKE = 20
# After so many logs others get their turn.
BREATH = 100


@dataclass(slots=True)
class Scanned:
    examined: int = 0
    withdrawn: int = 0
    raised: Counter[str] = field(default_factory=Counter)


async def scan(
    work: Work, owners: Collection[str], begins: datetime, ends: datetime, *, fresh: bool, kinds: Collection[str] = ()
) -> Scanned:
    """Judges the sellers' logs that began in [begins, ends); with `fresh` only those nobody looked at yet.

    Findings that people have judged stand; open ones that no longer hold are taken back.
    """
    judged_by = work.rules(TruthRules)
    version = work.process.rulebooks.version(TruthRules, work.now)
    found = await work.tx.all(
        store.TIMELINE,
        {
            "owners": list(owners),
            "from": begins,
            "to": ends,
            "fresh": fresh,
            "before": timedelta(days=judged_by.copied_days),
        },
    )
    asked = [row for row in found if row["asked"]]
    ids = [row["id"] for row in asked]
    if not ids:
        return Scanned()
    reused = {
        row["activity_id"]: tuple(row["earlier"])
        for row in await work.tx.all(store.REUSED, {"ids": ids, "bits": work.rules(AttachmentRules).similar_bits})
    }
    alike = await _alike(work, asked, judged_by)
    timelines: defaultdict[str, list[Log]] = defaultdict(list)
    for row in found:
        timelines[row["owner_id"]].append(_log(row, reused.get(row["id"], ())))
    logs = {log.id: log for timeline in timelines.values() for log in timeline}
    known = {(one.activity_id, one.kind): one for one in await store.existing(work.tx, ids)}
    result, raised, held = Scanned(examined=len(ids)), [], set()
    for row in asked:
        for one in rules.judge(judged_by, logs[row["id"]], timelines[row["owner_id"]], alike[row["id"]]):
            if kinds and one.kind not in kinds:
                continue
            held.add((row["id"], one.kind))
            if (row["id"], one.kind) not in known:
                raised.append(
                    Finding(
                        id=new_id(),
                        kind=one.kind,
                        activity_id=row["id"],
                        owner_id=row["owner_id"],
                        unit_id=row["unit_id"],
                        related_ids=list(one.related),
                        confidence=judged_by.confidence.get(one.kind, 0.5),
                        explanation=one.explanation,
                        rule_version=version,
                        created_at=work.now,
                    )
                )
                result.raised[one.kind] += 1
    gone = [
        one.id
        for key, one in known.items()
        if one.state == "open"
        and key not in held
        and one.kind != "survey_contradicts"
        and (not kinds or one.kind in kinds)
    ]
    result.withdrawn = len(gone)
    if raised:
        work.tx.do(store.ADD, {"rows": rows.pack(raised)})
    if gone:
        work.tx.do(store.WITHDRAW, {"ids": gone})
    work.tx.do(store.CHECKED, {"ids": ids, "now": work.now})
    await settle(work, ids)
    if raised:
        await _warn(work, sorted({one.owner_id for one in raised}), version)
    return result


async def _alike(work: Work, asked: Sequence[Mapping[str, Any]], judged_by: TruthRules) -> defaultdict[str, list[Log]]:
    """Prints the logs, and finds what colleagues wrote alike."""
    ids = [row["id"] for row in asked]
    printed = []
    for number, row in enumerate(asked):
        if number % BREATH == 0:
            await asyncio.sleep(0)
        if len(bare(row["content"])) >= judged_by.colleague_characters:
            about = {"at": row["at"], "activity_id": row["id"], "owner_id": row["owner_id"]}
            printed += [{"print": one, **about} for one in prints(row["content"])]
    work.tx.do(store.PRINT, {"ids": ids, "rows": rows.pack(printed)})
    window = {"ids": ids, "before": timedelta(days=judged_by.copied_days), "most": MOST_ALIKE}
    found: defaultdict[str, list[Log]] = defaultdict(list)
    for row in await work.tx.all(store.ALIKE, window):
        found[row["mine"]].append(
            Log(
                id=row["id"],
                kind=row["kind"],
                account_id=row["account_id"],
                started=row["started"],
                ended=row["ended"],
                logged=row["logged"],
                content=row["content"],
                owner=row["owner_id"],
            )
        )
    return found


async def _warn(work: Work, owners: Sequence[str], version: int) -> None:
    """Of sellers with several suspect logs lately; one alone may be a slip."""
    counted_by = work.rules(WarningRules)
    since = work.now - timedelta(days=counted_by.false_days)
    warned = []
    for row in await work.tx.all(store.SUSPECT, {"owners": list(owners), "since": since}):
        if row["suspect"] < counted_by.false_least:
            continue
        person = work.org.person(row["owner_id"])
        said = f"{row['suspect']} of {row['logs']} logs in {counted_by.false_days} days are suspect"
        warned.append(
            raising.warning(
                "false_check_ins",
                work,
                light="red" if row["confirmed"] >= counted_by.false_least else "yellow",
                subject=("person", row["owner_id"], person.name if person else row["owner_id"]),
                about=(row["owner_id"], person.unit_id if person else ""),
                assignee="manager_of_owner",
                evidence=[
                    raising.evidence("suspect_logs", row["suspect"], "1", said),
                    raising.evidence("confirmed_logs", row["confirmed"], "1"),
                ],
                rule=common_pb2.RuleReference(
                    rulebook=TruthRules.rulebook, version=version, rule="marking", explanation=said
                ),
                automatic_action="the logs are marked, and count nowhere once confirmed",
            )
        )
    raising.raise_all(work, warned)


def _log(row: dict[str, Any], reused_in: tuple[str, ...]) -> Log:
    visit = row["visit"] or {}
    position, photos = visit.get("position"), visit.get("photos", [])
    # A position of zero degrees is left out of JSON, as proto3 has it.
    place = (position.get("latitude", 0.0), position.get("longitude", 0.0)) if position is not None else None
    return Log(
        id=row["id"],
        kind=row["kind"],
        account_id=row["account_id"],
        started=row["started"],
        ended=row["ended"],
        logged=row["logged"],
        content=row["content"],
        place=place,
        has_photos=bool(photos),
        contradictions=tuple(photo["inconsistency"] for photo in photos if photo.get("inconsistency")),
        reused_in=reused_in,
        script_version=row["script_version"],
    )


async def settle(work: Work, activity_ids: Sequence[str]) -> None:
    """Makes every log what its findings make of it, and tells those that changed."""
    judged_by, counted_by = work.rules(TruthRules), work.rules(ActivityRules)
    about: defaultdict[str, list[tuple[KindWord, str]]] = defaultdict(list)
    for one in await store.existing(work.tx, activity_ids):
        about[one.activity_id].append((cast(KindWord, one.kind), one.state))
    changed = []
    for activity in await work.tx.all(ACTIVITIES, {"ids": list(activity_ids)}, into=Activity):
        after = replace(activity, authenticity=rules.standing(judged_by, about[activity.id]))
        after = replace(after, effective=effective(counted_by, after))
        if (after.authenticity, after.effective) != (activity.authenticity, activity.effective):
            after = replace(after, version=activity.version + 1, updated_at=work.now)
            changed.append(after)
            work.audit(
                after.id,
                "judge",
                {"authenticity": activity.authenticity, "effective": activity.effective},
                {"authenticity": after.authenticity, "effective": after.effective},
            )
            work.tell(activities.logged(after), after.id)
    if changed:
        work.tx.do(SAVE, {"rows": rows.pack(changed)})


async def raise_one(work: Work, activity_id: str, kind: KindWord, explanation: str) -> str:
    """A finding that comes from elsewhere; the one of its kind that is there already stands. Answers its id."""
    judged_by = work.rules(TruthRules)
    [activity] = await work.tx.all(ACTIVITIES, {"ids": [activity_id]}, into=Activity)
    finding = Finding(
        id=new_id(),
        kind=kind,
        activity_id=activity_id,
        owner_id=activity.owner_id,
        unit_id=activity.unit_id,
        confidence=judged_by.confidence.get(kind, 0.5),
        explanation=explanation,
        rule_version=work.process.rulebooks.version(TruthRules, work.now),
        created_at=work.now,
    )
    work.tx.do(store.ADD, {"rows": rows.pack([finding])})
    await settle(work, [activity_id])
    known = {one.kind: one.id for one in await store.existing(work.tx, [activity_id])}
    return known[kind]
