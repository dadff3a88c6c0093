"""TrainingService: courses held, what people say of them, and what they changed (S84)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import trainings_pb2 as pb
from closedloop_chassis import errors, etags, masks, pages, protos
from closedloop_chassis.data import rows
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.abilities.rules import AbilityRules
from closedloop_funnel.talk.rules import TalkRules
from closedloop_funnel.trainings import store
from closedloop_funnel.trainings.store import Seen, Training
from closedloop_funnel.words import word

rpcs = Rpcs("closedloop.funnel.v1.TrainingService")

PATHS = (
    *("name", "description", "start_date", "end_date", "cost", "attendee_ids", "article_ids", "ability_keys"),
    *("applied_hearing_keys", "customer_types"),
)


@rpcs.method
async def create_training(request: pb.CreateTrainingRequest, call: Call) -> pb.Training:
    me = call.org.person(call.caller.subject)
    unit_id = request.unit_id or (me.unit_id if me else "")
    if call.org.unit(unit_id) is None:
        raise errors.InvalidArgument("UNIT_UNKNOWN", f"no unit {unit_id}", {"unit_id": "unknown"})
    call.authorize("", unit_id)
    made = Training(
        id=new_id(),
        owner_id=call.caller.subject,
        unit_id=unit_id,
        created_at=call.now,
        updated_at=call.now,
        **await _fields(request, call, set(PATHS)),
    )
    _check(made)
    call.tx.do(store.ADD, {"rows": rows.pack([made])})
    call.audit(made.id, "create", after=rows.row(made, "version", "updated_at"))
    return to_proto(Seen(**rows.row(made), feedback_count=0))


@rpcs.method
async def update_training(request: pb.UpdateTrainingRequest, call: Call) -> pb.Training:
    before = await store.lock(call.tx, request.training_id)
    call.authorize(before.owner_id, before.unit_id)
    etags.check(request.etag, before.version)
    mask = masks.paths(request.update_mask, PATHS)
    if "name" in mask and not request.name:
        raise errors.InvalidArgument("FIELD_EMPTY", "a training has a name", {"name": "is empty"})
    changed = await _fields(request, call, mask)
    after = replace(before, version=before.version + 1, updated_at=call.now, **changed)
    _check(after)
    plain = rows.row(after, only=rows.columns(Training))
    call.tx.do(store.SAVE, {"rows": rows.pack([plain])})
    call.audit(after.id, "update", rows.row(before, "version", "updated_at"), rows.row(after, "version", "updated_at"))
    return to_proto(after)


async def _fields(given: Any, call: Call, mask: set[str]) -> dict[str, Any]:
    """The columns that the paths of `mask` name. Raises InvalidArgument for what is not there."""
    priced = given.HasField("cost")
    named: dict[str, dict[str, Any]] = {
        "name": {"name": given.name},
        "description": {"description": given.description},
        "start_date": {"start_date": protos.day(given.start_date, "start_date")} if "start_date" in mask else {},
        "end_date": {"end_date": protos.day(given.end_date, "end_date")} if "end_date" in mask else {},
        "cost": {
            "cost_minor": protos.minor_units(given.cost, "cost") if priced else None,
            "currency": given.cost.currency_code if priced else "",
        },
        **{
            field: {field: list(dict.fromkeys(getattr(given, field)))}
            for field in ("attendee_ids", "article_ids", "ability_keys", "applied_hearing_keys", "customer_types")
        },
    }
    columns = {key: value for path in mask for key, value in named[path].items()}
    for person_id in columns.get("attendee_ids", ()):
        if call.org.person(person_id) is None:
            raise errors.InvalidArgument("PERSON_UNKNOWN", f"nobody here is {person_id}", {"attendee_ids": "unknown"})
    talk = call.rules(TalkRules)
    known = {
        "ability_keys": ("ABILITY_UNKNOWN", set(call.rules(AbilityRules).abilities)),
        "applied_hearing_keys": ("HEARING_UNKNOWN", {*talk.keywords, *talk.objections, *talk.churn}),
    }
    for field, (reason, there) in known.items():
        strange = sorted(set(columns.get(field, ())) - there)
        if strange:
            raise errors.InvalidArgument(reason, f"nothing here is {strange[0]}", {field: "unknown"})
    articles = columns.get("article_ids", [])
    if articles and await call.tx.value(store.ARTICLES, {"ids": articles}) != len(articles):
        raise errors.InvalidArgument("ARTICLE_UNKNOWN", "not all of them are there", {"article_ids": "unknown"})
    return columns


def _check(training: Training) -> None:
    if training.end_date < training.start_date:
        raise errors.InvalidArgument("DATES_REVERSED", "it ends before it begins", {"end_date": "before start_date"})


@rpcs.method
async def get_training(request: pb.GetTrainingRequest, call: Call) -> pb.Training:
    found = await store.get(call.db, request.training_id)
    call.authorize(found.owner_id, found.unit_id, found.attendee_ids)
    return to_proto(found)


@rpcs.method
async def list_trainings(request: pb.ListTrainingsRequest, call: Call) -> pb.ListTrainingsResponse:
    after, after_id = pages.after(request, "infinity", "00000000-0000-0000-0000-000000000000")
    params: dict[str, Any] = {
        **call.scope.params,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "attendee": request.attendee_id,
        "from": protos.day(request.from_date, "from_date") if request.HasField("from_date") else None,
        "to": protos.day(request.to_date, "to_date") if request.HasField("to_date") else None,
        "after": after,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.LIST, params, into=Seen)
    page, token = pages.split(found, request, lambda one: [one.start_date.isoformat(), one.id])
    return pb.ListTrainingsResponse(trainings=[to_proto(one) for one in page], next_page_token=token)


@rpcs.method
async def record_training_feedback(request: pb.RecordTrainingFeedbackRequest, call: Call) -> pb.Training:
    training, me = await store.lock(call.tx, request.training_id), call.caller.subject
    if me not in training.attendee_ids:
        raise errors.PermissionDenied("NOT_AN_ATTENDEE", f"{me} was not at {training.name}")
    params = {
        "training": training.id,
        "person": me,
        "rating": request.rating,
        "obstacles": sorted({word(pb.TrainingObstacle, one) for one in request.obstacles}),
        "comment": request.comment,
        "now": call.now,
    }
    call.tx.do(store.SAY, params)
    call.audit(training.id, "feedback", after={"rating": request.rating, "obstacles": params["obstacles"]})
    return to_proto(await store.lock(call.tx, training.id))


def to_proto(one: Seen) -> pb.Training:
    return pb.Training(
        id=one.id,
        etag=etags.of(one.version),
        name=one.name,
        description=one.description,
        ownership=common_pb2.Ownership(owner_id=one.owner_id, unit_id=one.unit_id),
        start_date=protos.date_proto(one.start_date),
        end_date=protos.date_proto(one.end_date),
        cost=protos.money(one.cost_minor, one.currency) if one.cost_minor is not None else None,
        attendee_ids=one.attendee_ids,
        article_ids=one.article_ids,
        ability_keys=one.ability_keys,
        applied_hearing_keys=one.applied_hearing_keys,
        customer_types=one.customer_types,
        feedback_count=one.feedback_count,
    )
