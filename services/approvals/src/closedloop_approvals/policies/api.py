"""PolicyService: the policies as they read, and a route tried without opening anything."""

from __future__ import annotations

from datetime import datetime, timedelta

from google.protobuf import json_format
from google.type.interval_pb2 import Interval
from pydantic import ValidationError

from closedloop.approvals.v1 import policies_pb2 as pb
from closedloop.common.v1.common_pb2 import RuleReference
from closedloop_approvals import routing
from closedloop_approvals.policies import backtest
from closedloop_approvals.policies.rulebook import ApprovalPolicyRules, PolicyRule
from closedloop_approvals.policies.rules import PlannedStep
from closedloop_approvals.routing import Matter, Routed
from closedloop_approvals.standing_in import StandIn
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.rulebook.rules import ClockSetting
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call, Work

rpcs = Rpcs("closedloop.approvals.v1.PolicyService")


@rpcs.method
async def list_policies(request: pb.ListPoliciesRequest, call: Call) -> pb.ListPoliciesResponse:
    at = protos.instant(request.at, "at") if request.HasField("at") else call.now
    edition = call.process.rulebooks.edition(ApprovalPolicyRules.rulebook, at)
    rules = call.process.rulebooks.in_force(ApprovalPolicyRules, at)
    (after,) = pages.after(request, -1)
    found = [
        (place, policy)
        for place, policy in enumerate(rules.policies)
        if place > after and (not request.kind or request.kind in policy.kinds)
    ]
    page, token = pages.split(found[: pages.size(request) + 1], request, lambda item: (item[0],))
    return pb.ListPoliciesResponse(
        policies=[_policy(policy, rules, edition.version, edition.effective_at, call) for _, policy in page],
        next_page_token=token,
    )


@rpcs.method
async def preview_route(request: pb.PreviewRouteRequest, call: Call) -> pb.Route:
    submitter_id = request.submitter_id or call.caller.subject
    ownership = request.facts.ownership
    owner_id = ownership.owner_id or submitter_id
    owner = call.org.person(owner_id)
    unit_id = ownership.unit_id or (owner.unit_id if owner else "")
    call.authorize(owner_id, unit_id)
    at = protos.instant(request.at, "at") if request.HasField("at") else call.now
    rules = call.process.rulebooks.in_force(ApprovalPolicyRules, at)
    version = call.process.rulebooks.version(ApprovalPolicyRules, at)
    if request.HasField("draft"):
        rules, version = _draft(json_format.MessageToDict(request.draft)), 0
    matter = Matter(request.kind, "", "", request.facts, submitter_id, owner_id, unit_id)
    # Nothing is opened here and nobody sees it: amounts of others' matters could be found out by trying.
    routed = await routing.route(matter, rules, version, call, call.db.one, at, call.scope.covers)
    return _route(routed, matter, call, at)


@rpcs.method
async def backtest_policies(request: pb.BacktestPoliciesRequest, call: Call) -> pb.BacktestPoliciesResponse:
    period: Interval = request.period
    if not (period.HasField("start_time") and period.HasField("end_time")):
        raise errors.InvalidArgument("PERIOD_INVALID", "say from when to when", {"period": "needs both ends"})
    start = protos.instant(period.start_time, "period.start_time")
    end = protos.instant(period.end_time, "period.end_time")
    if start > end:
        raise errors.InvalidArgument("PERIOD_INVALID", "the period ends before it begins", {"period": "is reversed"})
    draft = _draft(json_format.MessageToDict(request.draft))
    problems = {f"draft.{field}": problem for field, problem in draft.misfits(call.org).items()}
    if draft.base_currency != call.rules(ApprovalPolicyRules).base_currency:
        problems["draft.base_currency"] = "amounts of the past are kept in another currency"
    if problems:
        raise errors.InvalidArgument("POLICY_INVALID", "the draft could not be published here", problems)
    return await backtest.backtest(draft, request.kind, start, end, call)


def _draft(body: dict[str, object]) -> ApprovalPolicyRules:
    try:
        return ApprovalPolicyRules.model_validate(body)
    except ValidationError as error:
        violations = {"draft." + ".".join(map(str, problem["loc"])): problem["msg"] for problem in error.errors()}
        raise errors.InvalidArgument("POLICY_INVALID", "the draft would not be valid", violations) from error


def _policy(
    policy: PolicyRule, rules: ApprovalPolicyRules, version: int, effective_at: datetime | None, work: Work
) -> pb.Policy:
    decision = policy.decision or rules.decision
    return pb.Policy(
        name=policy.name,
        title=policy.title,
        kinds=policy.kinds,
        condition=policy.condition,
        explanation="; ".join(filter(None, (policy.explanation, policy.silence))),
        steps=[
            pb.PolicyStep(
                number=number,
                name=step.name,
                mode=mode(step.mode),
                quorum=step.quorum,
                signers=step.signers,
                parallel_group=step.parallel_group,
                time_budget=protos.duration(_budget(decision, work)),
                calendar=decision.calendar,
                overdue_action=pb.OverdueAction.Value(f"OVERDUE_ACTION_{policy.on_overdue.upper()}"),
            )
            for number, step in enumerate(policy.steps, 1)
        ],
        rule=RuleReference(
            rulebook=ApprovalPolicyRules.rulebook,
            version=version,
            rule=f"policies.{policy.name}",
            explanation=policy.explanation,
        ),
        effective_time=protos.timestamp(effective_at),
        accumulation_window=protos.duration(
            timedelta(days=policy.accumulation_days) if policy.accumulation_days else None
        ),
    )


def mode(name: str) -> pb.StepMode.ValueType:
    return pb.StepMode.Value(f"STEP_MODE_{name.upper()}")


def _budget(decision: ClockSetting, work: Work) -> timedelta:
    return work.calendars.budget(decision)


def _route(routed: Routed, matter: Matter, work: Work, at: datetime) -> pb.Route:
    plan = routed.plan
    due_at = work.calendars.due(plan.decision, at, matter.unit_id) if plan.steps else None
    route = pb.Route(
        approval_required=bool(plan.steps),
        steps=[_step(number, step, routed, matter, due_at) for number, step in enumerate(plan.steps, 1)],
        rules=routed.references(),
        accumulated_request_ids=plan.accumulated_ids,
        partial=routed.partial,
    )
    if plan.accumulated_amount is not None:
        minor = round(plan.accumulated_amount * routing.scale(routed.base_currency))
        route.accumulated_amount.CopyFrom(protos.money(minor, routed.base_currency))
    return route


def _step(number: int, step: PlannedStep, routed: Routed, matter: Matter, due_at: datetime | None) -> pb.RouteStep:
    amount, currency = matter.amount
    return pb.RouteStep(
        number=number,
        name=step.name,
        mode=mode(step.mode),
        quorum=step.quorum,
        parallel_group=step.parallel_group,
        signers=[
            pb.RouteSigner(
                person_id=person.person_id,
                reason=person.reason,
                instead_of=person.instead_of,
                delegate_id=_delegate(person.person_id, routed.stand_ins, matter, amount, currency),
            )
            for slot in step.slots
            for person in slot.people
        ],
        due_time=protos.timestamp(due_at),
        rule=routed.reference(step.policy),
    )


def _delegate(person_id: str, stand_ins: list[StandIn], matter: Matter, amount: int | None, currency: str) -> str:
    parties = {matter.submitter_id, matter.owner_id}
    return next(
        (
            stand_in.delegate_id
            for stand_in in stand_ins
            if stand_in.delegator_id == person_id
            and stand_in.delegate_id not in parties
            and stand_in.covers_request(matter.kind, amount, currency)
        ),
        "",
    )
