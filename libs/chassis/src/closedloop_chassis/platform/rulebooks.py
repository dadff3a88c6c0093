"""RulebookService: settings seen, checked and published while the service runs."""

from __future__ import annotations

from functools import cache

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from closedloop.platform.v1 import platform_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.rulebook.rules import Rules
from closedloop_chassis.rulebook.shelf import Edition
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call

rpcs = Rpcs("closedloop.platform.v1.RulebookService")


@cache
def _schema(model: type[Rules]) -> Struct:
    """Made once: pydantic takes 10 ms and more over a large one, and a thousand who ask would hold up everybody else."""
    return json_format.ParseDict(model.model_json_schema(), Struct())


@rpcs.method
async def list_rulebooks(request: pb.ListRulebooksRequest, call: Call) -> pb.ListRulebooksResponse:
    shelf = call.process.rulebooks
    (after,) = pages.after(request, "")
    names = [name for name in sorted(shelf.models) if name > after][: pages.size(request) + 1]
    page, token = pages.split(names, request, lambda name: (name,))
    editions = [_to_proto(shelf.edition(name, call.now), body=False) for name in page]
    return pb.ListRulebooksResponse(rulebooks=editions, next_page_token=token)


@rpcs.method
async def get_rulebook(request: pb.GetRulebookRequest, call: Call) -> pb.Rulebook:
    shelf = call.process.rulebooks
    at = protos.instant(request.at, "at") if request.HasField("at") else call.now
    edition = shelf.edition(request.name, at)
    if request.HasField("version"):
        found = [e for e in shelf.history(request.name) if e.version == request.version]
        if not found and request.version:
            raise errors.NotFound("VERSION_UNKNOWN", f"{request.name} has no version {request.version}")
        default = Edition(request.name, 0, None, shelf.models[request.name]().model_dump(mode="json"))
        edition = found[0] if found else default
    answer = _to_proto(edition)
    answer.schema.CopyFrom(_schema(shelf.models[request.name]))
    answer.history.extend(_to_proto(e, body=False) for e in shelf.history(request.name))
    return answer


@rpcs.method
async def publish_rulebook(request: pb.PublishRulebookRequest, call: Call) -> pb.Rulebook:
    shelf = call.process.rulebooks
    effective_at = (
        protos.instant(request.effective_time, "effective_time") if request.HasField("effective_time") else call.now
    )
    if effective_at < call.now:
        raise errors.InvalidArgument(
            "EFFECTIVE_IN_THE_PAST", "rules do not change the past", {"effective_time": "must not be in the past"}
        )
    body = json_format.MessageToDict(request.body)
    draft = Edition(
        request.name, request.base_version, effective_at, body, call.caller.subject, request.reason, call.now
    )
    rules = shelf.check(request.name, body)
    if faults := rules.faults():
        violations = {f"body.{field}": problem for field, problem in faults.items()}
        raise errors.InvalidArgument("RULEBOOK_INVALID", f"{request.name} would not be valid", violations)
    if misfits := rules.misfits(call.org):
        violations = {f"body.{field}": problem for field, problem in misfits.items()}
        # Told apart from a wrong body, for whoever brings the organisation as well and comes again.
        raise errors.InvalidArgument(
            "RULEBOOK_INVALID", f"{request.name} does not fit the organisation", violations, misfit=True
        )
    checked = rules.model_dump(mode="json")
    if request.validate_only:
        return _to_proto(Edition(request.name, request.base_version, effective_at, checked))
    before = shelf.edition(request.name, call.now)
    published = await shelf.publish(call.tx, draft)
    call.audit(f"rulebook:{request.name}", "publish", before.body, published.body, business_action=request.reason)
    call.tx.after_commit(call.process.reload_soon)
    return _to_proto(published)


def _to_proto(edition: Edition, *, body: bool = True) -> pb.Rulebook:
    rulebook = pb.Rulebook(
        name=edition.name,
        version=edition.version,
        effective_time=protos.timestamp(edition.effective_at),
        author_id=edition.author_id,
        reason=edition.reason,
        create_time=protos.timestamp(edition.created_at),
    )
    if body:
        json_format.ParseDict(edition.body, rulebook.body)
    return rulebook
