"""PointsService: balances, entries, rewards, and the proof that the ledger balances (S56)."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import events_pb2 as events
from closedloop.funnel.v1 import points_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.actions.rules import UnitRules
from closedloop_funnel.points import store
from closedloop_funnel.points.rules import PointsRules, RewardRule
from closedloop_funnel.points.store import Entry
from closedloop_funnel.words import number, word

rpcs = Rpcs("closedloop.funnel.v1.PointsService")

# Where the rule behind an entry stands; else in our own.
RULEBOOKS = {
    "action": UnitRules.rulebook,
    "learning": "funnel.lessons",
    "mentoring": "funnel.mentoring",
    "drill": "funnel.drills",
}


@rpcs.method
async def get_points_account(request: pb.GetPointsAccountRequest, call: Call) -> pb.PointsAccount:
    person_id, unit_id = _person(request.person_id, call)
    call.authorize(person_id, unit_id)
    found = await call.db.one(store.ACCOUNT, {"person_id": person_id})
    if found is None:
        return pb.PointsAccount(person_id=person_id)
    until = found["priority_until"]
    return pb.PointsAccount(
        person_id=person_id,
        balance=found["balance"],
        earned=found["earned"],
        redeemed=found["redeemed"],
        priority_end_time=protos.timestamp(until if until and until > call.now else None),
    )


@rpcs.method
async def list_points_entries(request: pb.ListPointsEntriesRequest, call: Call) -> pb.ListPointsEntriesResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    begins, ends = protos.bounds(request.period)
    params: dict[str, Any] = {
        **call.scope.params,
        "person": request.person_id,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "kind": word(pb.PointsEntryKind, request.kind),
        "from": begins,
        "to": ends,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Entry)
    page, token = pages.split(found, request, lambda one: [one.at.isoformat(), one.id])
    return pb.ListPointsEntriesResponse(entries=[_to_proto(one) for one in page], next_page_token=token)


@rpcs.method
async def list_rewards(request: pb.ListRewardsRequest, call: Call) -> pb.ListRewardsResponse:
    [after] = pages.after(request, "")
    offered = sorted((key, reward) for key, reward in call.rules(PointsRules).rewards.items() if key > after)
    page, token = pages.split(offered[: pages.size(request) + 1], request, lambda item: [item[0]])
    sold = await store.sold(call.db, [key for key, reward in page if reward.stock is not None], _month(call))
    rewards = [_reward(key, reward, sold.get(key, 0), call) for key, reward in page]
    return pb.ListRewardsResponse(rewards=rewards, next_page_token=token)


def _reward(key: str, reward: RewardRule, sold: int, call: Call) -> pb.Reward:
    answer = pb.Reward(key=key, name=reward.name, description=reward.description, kind=reward.kind, price=reward.price)
    if reward.stock is not None:
        answer.stock = max(reward.stock - sold, 0)
    if reward.lasts is not None:
        lasts = Duration()
        lasts.FromTimedelta(call.calendars.budget(reward.lasts))
        answer.duration.CopyFrom(lasts)
    return answer


@rpcs.method
async def redeem_points(request: pb.RedeemPointsRequest, call: Call) -> pb.PointsEntry:
    reward = call.rules(PointsRules).rewards.get(request.reward_key)
    if reward is None:
        there = ", ".join(sorted(call.rules(PointsRules).rewards))
        raise errors.NotFound("REWARD_UNKNOWN", f"no reward {request.reward_key}; there are {there}")
    person_id, unit_id = _person("", call)
    if reward.stock is not None:
        call.tx.do(store.ONE_AT_A_TIME, {"key": request.reward_key})
        sold = await store.sold(call.tx, [request.reward_key], _month(call))
        if sold.get(request.reward_key, 0) >= reward.stock:
            raise errors.FailedPrecondition("REWARD_SOLD_OUT", f"all {reward.stock} of this month are gone")
    account = await store.held(call.tx, person_id)
    booked = await store.book(
        call.tx,
        store.entry(
            person_id,
            unit_id,
            "redemption",
            -reward.price,
            "rewards",
            cause_id=request.reward_key,
            reason=reward.name,
            rule=f"rewards.{request.reward_key}",
            rule_version=call.process.rulebooks.version(PointsRules, call.now),
            reward_key=request.reward_key,
            author_id=call.caller.subject,
            at=call.now,
        ),
    )
    if reward.lasts is not None:
        # Bought again while it runs, it runs longer.
        begins = max(account["priority_until"] or call.now, call.now)
        until = call.calendars.due(reward.lasts, begins, unit_id)
        call.tx.do(store.PRIORITY, {"person_id": person_id, "until": until})
        granted = events.LeadPriorityGranted(
            person_id=person_id,
            unit_id=unit_id,
            reward_key=request.reward_key,
            points_entry_id=booked.id,
            start_time=protos.timestamp(begins),
            end_time=protos.timestamp(until),
        )
        call.tell(granted, person_id)
    call.audit(person_id, "redeem_points", after={"reward_key": request.reward_key, "points": booked.points})
    return _to_proto(booked)


@rpcs.method
async def adjust_points(request: pb.AdjustPointsRequest, call: Call) -> pb.PointsEntry:
    person_id, unit_id = _person(request.person_id, call)
    call.authorize(person_id, unit_id)
    if person_id == call.caller.subject:
        raise errors.PermissionDenied("OWN_ACCOUNT", "nobody books to himself")
    points, kind, counter, reversed_id = request.points, "adjustment", "adjustments", None
    if request.reverses_entry_id:
        earlier = await call.tx.one(store.GET, {"id": request.reverses_entry_id}, into=Entry)
        if earlier is None or earlier.person_id != person_id:
            raise errors.NotFound("ENTRY_UNKNOWN", f"{person_id} has no entry {request.reverses_entry_id}")
        if points or earlier.kind == "reversal":
            raise errors.InvalidArgument(
                "POINTS_FIXED", "an entry is reversed whole, and a reversal is not", {"points": "not zero"}
            )
        points, kind, counter, reversed_id = -earlier.points, "reversal", earlier.counter_account, earlier.id
    if not points:
        raise errors.InvalidArgument("POINTS_REQUIRED", "say how many", {"points": "zero"})
    booked = await store.book(
        call.tx,
        store.entry(
            person_id,
            unit_id,
            kind,
            points,
            counter,
            reason=request.reason,
            reverses_entry_id=reversed_id,
            author_id=call.caller.subject,
            at=call.now,
        ),
    )
    call.audit(person_id, "adjust_points", after={"points": points, "reason": request.reason})
    return _to_proto(booked)


@rpcs.method
async def get_trial_balance(request: pb.GetTrialBalanceRequest, call: Call) -> pb.TrialBalance:
    at = protos.instant(request.at, "at") if request.HasField("at") else call.now
    found = await call.db.one(store.TRIAL, {"at": at})
    assert found is not None
    lines = [pb.TrialBalanceLine(**line) for line in found["lines"]]
    difference = sum(line.debit - line.credit for line in lines)
    return pb.TrialBalance(
        at=protos.timestamp(at),
        lines=lines,
        difference=difference or found["drift"],
        entry_count=found["entries"],
    )


def _person(person_id: str, call: Call) -> tuple[str, str]:
    """Raises NotFound PERSON_UNKNOWN."""
    wanted = person_id or call.caller.subject
    person = call.org.person(wanted)
    if person is None:
        raise errors.NotFound("PERSON_UNKNOWN", f"nobody here is {wanted}")
    return person.id, person.unit_id


def _month(call: Call) -> Any:
    return call.home.moment(call.home.today().replace(day=1))


def _to_proto(entry: Entry) -> pb.PointsEntry:
    rulebook = RULEBOOKS.get(entry.kind, PointsRules.rulebook)
    answer = pb.PointsEntry(
        id=entry.id,
        person_id=entry.person_id,
        kind=number(pb.PointsEntryKind, entry.kind),
        points=entry.points,
        balance_after=entry.balance_after,
        counter_account=entry.counter_account,
        cause_id=entry.cause_id,
        reason=entry.reason,
        reverses_entry_id=entry.reverses_entry_id or "",
        author_id=entry.author_id,
        time=protos.timestamp(entry.at),
        reward_key=entry.reward_key,
    )
    if entry.rule:
        answer.rule.CopyFrom(
            common_pb2.RuleReference(
                rulebook=rulebook, version=entry.rule_version, rule=entry.rule, explanation=entry.reason
            )
        )
    return answer
