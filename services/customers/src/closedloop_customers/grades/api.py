"""GradeService."""

from __future__ import annotations

from closedloop.common.v1.common_pb2 import BulkSummary, Evidence
from closedloop.customers.v1 import grades_pb2 as pb
from closedloop.customers.v1 import potential_pb2
from closedloop_chassis import bulk, errors, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call, Scope
from closedloop_customers import explanations, records, scoring
from closedloop_customers.grades import desk, rules, store
from closedloop_customers.grades.rules import GradeRules

rpcs = Rpcs("closedloop.customers.v1.GradeService")

IN_REACH = f"SELECT id FROM account WHERE {Scope.SQL} AND status NOT IN ('merged', 'retired')"


@rpcs.method
async def get_grading_standard(request: pb.GetGradingStandardRequest, call: Call) -> pb.GradingStandard:
    standard = call.rules(GradeRules)
    held = {row["grade"]: row["accounts"] for row in await call.db.all(store.BY_GRADE)}
    why = "一个客户属于第一个有条件成立的等级"
    return pb.GradingStandard(
        grades=[
            pb.GradeRule(
                grade=name,
                title=grade.title,
                conditions=[rules.sentence(condition, standard) for condition in grade.conditions]
                or ["不满足以上任何条件"],
                treatment=grade.treatment,
                accounts=held.get(name, 0),
            )
            for name, grade in standard.grades.items()
        ],
        rule=explanations.reference(explanations.because(call, GradeRules, "grades", why)),
    )


@rpcs.method
async def get_grade(request: pb.GetGradeRequest, call: Call) -> pb.AccountGrade:
    standing = await records.account(call.db, call, request.account_id)
    standard = call.rules(GradeRules)
    history = await call.db.all(store.HISTORY, {"account_id": standing.id}, into=store.Change)
    if not history:
        raise errors.FailedPrecondition("NOT_GRADED", "nobody has graded this account yet; EvaluateGrades does")
    params = store.parameters(standard, call.now, [standing.id])
    measured = await call.db.one(store.measured([standing.id]), params) or {}
    kind = measured.pop("customer_type", "")
    measures = {name: float(value) for name, value in measured.items() if name in rules.SENTENCES}
    verdict = rules.grade(measures, kind, standard)
    return pb.AccountGrade(
        account_id=standing.id,
        grade=history[0].to_grade,
        rule=explanations.reference(history[0].rule),
        dimensions=[_dimension(seen) for seen in rules.dimensions(measures, kind, standard)],
        to_next_grade=rules.to_next(verdict, measures, kind, standard),
        evaluate_time=protos.timestamp(history[0].changed_at),
        history=[
            pb.GradeChange(
                from_grade=one.from_grade,
                to_grade=one.to_grade,
                rule=explanations.reference(one.rule),
                cause=one.cause,
                time=protos.timestamp(one.changed_at),
            )
            for one in history
        ],
    )


@rpcs.method
async def evaluate_grades(request: pb.EvaluateGradesRequest, call: Call) -> BulkSummary:
    wanted, refused = await records.sifted(call, request.account_ids)
    everybody = call.scope.company and not request.account_ids
    if not request.account_ids and not everybody:
        wanted = {row["id"] for row in await call.tx.all(IN_REACH, call.scope.params)}
    outcome = await desk.evaluate(call, "request", None if everybody else wanted)
    read = len(request.account_ids) or outcome.read
    return bulk.summary(read=read, created=outcome.first, updated=outcome.changed, refused=refused)


@rpcs.method
async def get_grade_accuracy(request: pb.GetGradeAccuracyRequest, call: Call) -> pb.GradeAccuracy:
    standard = call.rules(GradeRules)
    params = {
        **call.scope.params,
        **records.span(request.interval, call.now),
        "units": sorted(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "good": sorted(standard.good_outcomes),
        "won": "won" in standard.good_outcomes,
    }
    found = {row["grade"]: (row["accounts"], row["good"]) for row in await call.db.all(store.FORETOLD, params)}
    # A grade the standard no longer knows was given by an older one: behind the others.
    names = [*standard.grades, *sorted(found.keys() - standard.grades.keys())]
    verdicts = [
        scoring.Foretold(-float(place), place == 0, number < good)
        for place, name in enumerate(names)
        for accounts, good in [found.get(name, (0, 0))]
        for number in range(accounts)
    ]
    why = f"好结果：{'、'.join(sorted(standard.good_outcomes))}；以 {names[0]} 级为“会成交”"
    return pb.GradeAccuracy(
        accuracy=scoring.accuracy(verdicts, standard.least_outcomes),
        grades=[
            pb.GradeOutcome(grade=name, accounts=accounts, good=good, good_ratio=good / accounts if accounts else 0.0)
            for name in names
            for accounts, good in [found.get(name, (0, 0))]
        ],
        rule=explanations.reference(explanations.because(call, GradeRules, "good_outcomes", why)),
    )


def _dimension(seen: dict[str, object]) -> potential_pb2.ScoreDimension:
    """A condition holds or not: 100 points or none, and it weighs nothing beside the others."""
    holds, text = bool(seen["holds"]), str(seen["text"])
    value, unit = float(str(seen["value"])), str(seen["unit"])
    return potential_pb2.ScoreDimension(
        key=str(seen["key"]),
        title=str(seen["title"]),
        input=Evidence(name=str(seen["measure"]), value=value, unit=unit, text=f"{text}：现为 {value:,.0f}"),
        points=100.0 if holds else 0.0,
        explanation=f"{text}：{'成立' if holds else '不成立'}",
    )
