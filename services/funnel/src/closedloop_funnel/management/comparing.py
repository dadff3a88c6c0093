"""What others do instead, and what came of it: sent to whose action moves nothing (S98)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from google.protobuf import json_format

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import experiments_pb2 as pb
from closedloop_chassis import protos
from closedloop_chassis.work import Work
from closedloop_funnel import estimates
from closedloop_funnel.management import rules, store
from closedloop_funnel.management.judging import Judged
from closedloop_funnel.management.rules import ManagementRules
from closedloop_funnel.management.store import Habit


async def compare(flat: Sequence[Judged], work: Work) -> dict[str, pb.PracticeComparison]:
    """By action. The best of the others against the action's own people: how they stand, and which action units of
    published cards they do more of. What cannot be told from chance is not named."""
    judged_by = work.rules(ManagementRules)
    best = {
        one.action.id: rules.best(one.others, judged_by.best_share, judged_by.least_people, rising=one.metric.rising)
        for one in flat
    }
    cards = await work.tx.all(store.CARDS)
    keys = sorted({key for card in cards for key in card["action_unit_keys"]})
    # All of them were judged by the same quarter: the last one that has settled.
    quarter = flat[0].quarters[-1].quarter
    params = {
        "people": sorted({person for one in flat for person in (*best[one.action.id], *one.own)}),
        "keys": keys,
        "from": work.home.moment(quarter),
        "to": work.home.moment(rules.following(quarter)),
    }
    habits = await work.tx.all(store.HABITS, params, into=Habit)
    moving = await work.tx.all(store.MOVING, {"metrics": sorted({one.metric.key for one in flat})})
    return {
        one.action.id: _compared(
            one,
            best[one.action.id],
            cards,
            _habits(one, best[one.action.id], habits, keys, judged_by.least_people),
            [row for row in moving if row["metric_key"] == one.metric.key and row["id"] != one.action.id],
            work,
        )
        for one in flat
    }


def _compared(
    judged: Judged,
    best: Sequence[str],
    cards: Sequence[Mapping[str, Any]],
    more: Mapping[str, pb.Estimate],
    elsewhere: Sequence[Mapping[str, Any]],
    work: Work,
) -> pb.PracticeComparison:
    theirs = [card for card in cards if set(card["action_unit_keys"]) & set(more)]
    return pb.PracticeComparison(
        summary=_summary(judged, len(best), theirs, elsewhere)[:2000],
        practice_card_ids=[card["id"] for card in theirs][:100],
        evidence=[
            *_stand(judged, best),
            *(_evidence(f"action_unit:{key}", found) for key, found in more.items()),
            *(_other(row) for row in elsewhere),
        ],
        send_time=protos.timestamp(work.now),
    )


def _habits(
    judged: Judged, best: Sequence[str], habits: Sequence[Habit], keys: Sequence[str], least: int
) -> dict[str, pb.Estimate]:
    """By action unit: share of the logs in which the best do it less that of the action's people, where it is higher."""
    found = {
        key: estimates.means_apart(_shares(habits, key, best), _shares(habits, key, judged.own), "1", least)
        for key in keys
    }
    return {key: one for key, one in found.items() if one.verdict == pb.ESTIMATE_VERDICT_HIGHER}


def _shares(habits: Iterable[Habit], key: str, people: Iterable[str]) -> list[float]:
    known = {one.owner_id: one.done / one.logs for one in habits if one.key == key}
    return [known[person] for person in people if person in known]


def _stand(judged: Judged, best: Sequence[str]) -> list[common_pb2.Evidence]:
    unit = judged.metric.unit
    sides = (("own_people", list(judged.own.values())), ("best_others", [judged.others[one] for one in best]))
    return [_evidence(name, estimates.spread(values, unit)) for name, values in sides if len(values) > 1]


def _evidence(name: str, found: pb.Estimate) -> common_pb2.Evidence:
    said = f"n={found.sample_size}, {found.low:.3g} - {found.high:.3g} ({found.confidence_ratio:.0%}), {found.method}"
    return common_pb2.Evidence(name=name, value=found.value, unit=found.unit, text=said)


def _other(row: Mapping[str, Any]) -> common_pb2.Evidence:
    found = _evidence("other_action", json_format.ParseDict(row["change"], pb.Estimate()))
    found.text = f"{row['name']} ({row['unit_id']}): {found.text}"[:1000]
    return found


def _summary(
    judged: Judged, best: int, cards: Sequence[Mapping[str, Any]], elsewhere: Sequence[Mapping[str, Any]]
) -> str:
    said = [f"「{judged.action.name}」连续 {rules.flat_run(judged.flats)} 个季度没有带动{judged.metric.name}"]
    if best:
        said.append(f"对照: 同期做得最好的 {best} 人")
    else:
        said.append(f"没有足够的人可以对照 ({len(judged.others)} 人)")
    if cards:
        said.append("他们更常做: " + ", ".join(card["title"] for card in cards))
    elif best:
        said.append("他们的做法与本单位没有能与偶然区分的差别")
    if elsewhere:
        said.append("在别处有效的管理动作: " + ", ".join(row["name"] for row in elsewhere))
    return "; ".join(said)
