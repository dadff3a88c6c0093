"""HealthService."""

from __future__ import annotations

from datetime import timedelta

from closedloop.common.v1.common_pb2 import BulkSummary, Light, RuleReference
from closedloop.customers.v1 import health_pb2 as pb
from closedloop_chassis import bulk, enums, errors, pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_customers import explanations, records, scoring
from closedloop_customers.health import desk, store
from closedloop_customers.health.rules import HealthRules

rpcs = Rpcs("closedloop.customers.v1.HealthService")

FIRST_ID = "00000000-0000-0000-0000-000000000000"


@rpcs.method
async def get_health(request: pb.GetHealthRequest, call: Call) -> pb.AccountHealth:
    standing = await records.account(call.db, call, request.account_id)
    rules = call.rules(HealthRules)
    today = call.now.date()
    found = await store.get(call.db, standing.id, today - timedelta(days=rules.change_days))
    if found is None:
        raise errors.FailedPrecondition("NOT_EVALUATED", "nothing is known of this account yet; EvaluateHealth does it")
    health = _to_proto(found, rules, call)
    if request.history_days:
        since = {"account_id": standing.id, "since": today - timedelta(days=request.history_days)}
        for row in await call.db.all(store.HISTORY, since):
            health.history.add(date=protos.date_proto(row["day"]), score=row["score"])
    return health


@rpcs.method
async def list_health(request: pb.ListHealthRequest, call: Call) -> pb.ListHealthResponse:
    rules = call.rules(HealthRules)
    after_score, after_id = pages.after(request, -1.0, FIRST_ID)
    params = {
        **records.filters(request, call),
        "account_ids": list(request.account_ids) or None,
        "grades": list(request.grades) or None,
        "lights": [enums.word(Light, n) for n in range(request.minimum_light, 5)]
        if request.minimum_light > 1
        else None,
        "drop": request.minimum_drop,
        "before": call.now.date() - timedelta(days=rules.change_days),
        "after_score": after_score,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=store.Health)
    page, token = pages.split(found, request, lambda row: (row.score, row.account_id))
    return pb.ListHealthResponse(healths=[_to_proto(row, rules, call) for row in page], next_page_token=token)


@rpcs.method
async def evaluate_health(request: pb.EvaluateHealthRequest, call: Call) -> BulkSummary:
    wanted, refused = await records.sifted(call, request.account_ids)
    everybody = call.scope.company and not request.account_ids
    if not request.account_ids and not everybody:
        wanted = {row["id"] for row in await call.tx.all(store.IN_REACH, call.scope.params)}
    outcome = await desk.evaluate(call, "request", None if everybody else wanted)
    read = len(request.account_ids) or outcome.read
    return bulk.summary(read=read, created=outcome.first, updated=outcome.changed, refused=refused)


@rpcs.method
async def get_health_accuracy(request: pb.GetHealthAccuracyRequest, call: Call) -> pb.HealthAccuracy:
    rules = call.rules(HealthRules)
    params = {
        **call.scope.params,
        "units": sorted(call.org.subtree(request.unit_id)) if request.unit_id else None,
        **records.span(request.interval, call.now),
    }
    rows = await call.db.all(store.FORETOLD, params)
    verdicts = [scoring.Foretold(-row["score"], row["score"] < rules.loss_below, row["lost"]) for row in rows]
    return pb.HealthAccuracy(
        accuracy=scoring.accuracy(verdicts, rules.least_outcomes),
        rule=_rule(call, f"below {rules.loss_below:g} foretells loss"),
    )


def _to_proto(row: store.Health, rules: HealthRules, call: Call) -> pb.AccountHealth:
    parts = scoring.parts(dict(zip(rules.dimensions, row.measures, strict=False)), rules.dimensions)
    worst = "、".join(part.title for part in sorted(parts, key=lambda part: part.points)[:3])
    explanation = f"健康分 {row.score:.1f}；最弱：{worst}"
    return pb.AccountHealth(
        account_id=row.account_id,
        ownership=records.ownership(row.owner_id, row.unit_id),
        score=row.score,
        light=enums.number(Light, row.light),
        dimensions=parts,
        rule=RuleReference(
            rulebook=HealthRules.rulebook, version=row.rule_version, rule="dimensions", explanation=explanation
        ),
        evaluate_time=protos.timestamp(row.evaluated_at),
        change=0.0 if row.score_before is None else row.score - row.score_before,
    )


def _rule(call: Call, explanation: str) -> RuleReference | None:
    return explanations.reference(explanations.because(call, HealthRules, "loss_below", explanation))
