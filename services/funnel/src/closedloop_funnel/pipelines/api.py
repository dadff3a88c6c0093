"""PipelineService: the pipelines in force, as sellers and screens need them."""

from __future__ import annotations

from closedloop.funnel.v1 import pipelines_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.rulebook.shelf import Edition
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.pipelines import removed, store
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.pipelines.stages import EvidenceRule, PipelineRule, StageRule
from closedloop_funnel.words import number

rpcs = Rpcs("closedloop.funnel.v1.PipelineService")


@rpcs.method
async def list_pipelines(request: pb.ListPipelinesRequest, call: Call) -> pb.ListPipelinesResponse:
    at = protos.instant(request.at, "at") if request.HasField("at") else call.now
    edition = call.process.rulebooks.edition(PipelineRules.rulebook, at)
    rules = PipelineRules.model_validate(edition.body)
    [after] = pages.after(request, "")
    wanted = [
        (pipeline_id, pipeline)
        for pipeline_id, pipeline in sorted(rules.pipelines.items())
        if pipeline_id > after
        and (request.include_retired or not pipeline.retired)
        and (not request.pack or pipeline.pack == request.pack)
    ][: pages.size(request) + 1]
    page, token = pages.split(wanted, request, lambda item: [item[0]])
    occupied = await store.occupied(call.db, [pipeline_id for pipeline_id, _ in page])
    return pb.ListPipelinesResponse(
        pipelines=[to_proto(pipeline_id, rules, edition, occupied, call) for pipeline_id, _ in page],
        next_page_token=token,
    )


@rpcs.method
async def get_pipeline(request: pb.GetPipelineRequest, call: Call) -> pb.Pipeline:
    edition = _edition(request, call)
    rules = PipelineRules.model_validate(edition.body)
    rules.pipeline(request.pipeline_id)
    occupied = await store.occupied(call.db, [request.pipeline_id])
    return to_proto(request.pipeline_id, rules, edition, occupied, call)


def _edition(request: pb.GetPipelineRequest, call: Call) -> Edition:
    shelf = call.process.rulebooks
    if not request.HasField("version"):
        at = protos.instant(request.at, "at") if request.HasField("at") else call.now
        return shelf.edition(PipelineRules.rulebook, at)
    if request.version == 0:
        return Edition(PipelineRules.rulebook, 0, None, PipelineRules().model_dump(mode="json"))
    for edition in shelf.history(PipelineRules.rulebook):
        if edition.version == request.version:
            return edition
    raise errors.NotFound("PIPELINE_UNKNOWN", f"{PipelineRules.rulebook} has no version {request.version}")


def to_proto(
    pipeline_id: str, rules: PipelineRules, edition: Edition, occupied: dict[str, set[str]], call: Call
) -> pb.Pipeline:
    pipeline = rules.pipelines[pipeline_id]
    left_over = sorted(key for key in occupied.get(pipeline_id, set()) if not pipeline.has(key))
    as_stood_in = [(key, removed.with_removed(pipeline, pipeline_id, key, call.process.rulebooks)) for key in left_over]
    return pb.Pipeline(
        id=pipeline_id,
        name=pipeline.name,
        version=edition.version,
        effective_time=protos.timestamp(edition.effective_at),
        default=pipeline_id == rules.default,
        pack=pipeline.pack,
        unit_ids=pipeline.unit_ids,
        stages=[
            *(_stage(stage, pipeline) for stage in pipeline.stages),
            *(_stage(whole.stage(key), whole) for key, whole in as_stood_in),
        ],
        reasons=[
            pb.CloseReason(
                code=reason.code,
                name=reason.name,
                kind=number(pb.StageKind, reason.kind),
                comment_required=reason.comment_required,
            )
            for reason in pipeline.reasons
        ],
        retired=pipeline.retired,
        history_only=pipeline.history_only,
    )


def _stage(stage: StageRule, pipeline: PipelineRule) -> pb.Stage:
    return pb.Stage(
        key=stage.key,
        name=stage.name,
        kind=number(pb.StageKind, stage.kind),
        chain_step=number(pb.ChainStep, stage.chain_step),
        probability_ratio=stage.probability,
        default_category=number(pb.ForecastCategory, stage.category),
        requirements=[requirement_proto(requirement) for requirement in stage.requirements],
        action_unit_keys=stage.action_unit_keys,
        next_stage_keys=stage.next_stage_keys or reachable(stage, pipeline),
        dwell_limit_days=stage.dwell_limit_days,
        pace_limit_days=stage.pace_limit_days,
        calendar=stage.calendar,
        proposal_expected=stage.proposal_expected,
        retired=stage.retired,
    )


def reachable(stage: StageRule, pipeline: PipelineRule) -> list[str]:
    """Without a skip: every earlier open stage, and the next one."""
    if stage.kind != "open":
        return []
    place = pipeline.stages.index(stage)
    earlier, later = (
        [s.key for s in part if s.kind == "open" and not s.retired]
        for part in (pipeline.stages[:place], pipeline.stages[place + 1 :])
    )
    return earlier + later[:1]


def requirement_proto(requirement: EvidenceRule) -> pb.EvidenceRequirement:
    return pb.EvidenceRequirement(
        key=requirement.key,
        name=requirement.name,
        kind=number(pb.EvidenceKind, requirement.kind),
        minimum=requirement.minimum,
        mandatory=requirement.mandatory,
        detail=requirement.detail,
        least_characters=requirement.least_characters,
    )
