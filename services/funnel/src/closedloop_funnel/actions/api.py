"""ListActionUnits: what counts as done, by pack, pipeline or stage (S53)."""

from __future__ import annotations

from closedloop.funnel.v1 import pipelines_pb2 as pb
from closedloop_chassis import pages
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.actions.rules import UnitRules
from closedloop_funnel.actions.units import UnitRule
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.words import number

rpcs = Rpcs("closedloop.funnel.v1.PipelineService")


@rpcs.method
async def list_action_units(request: pb.ListActionUnitsRequest, call: Call) -> pb.ListActionUnitsResponse:
    pipelines, units = call.rules(PipelineRules), call.rules(UnitRules)
    if request.pipeline_id:
        pipelines.pipeline(request.pipeline_id)
    version = call.process.rulebooks.version(UnitRules, call.now)
    [after] = pages.after(request, "")
    homes = _homes(pipelines)
    wanted = [
        (key, unit)
        for key, unit in sorted(units.units.items())
        if key > after
        and (not request.pack or unit.pack == request.pack)
        and _belongs(homes.get(key, []), request.pipeline_id, request.stage_key)
    ][: pages.size(request) + 1]
    page, token = pages.split(wanted, request, lambda item: [item[0]])
    return pb.ListActionUnitsResponse(
        action_units=[_to_proto(key, unit, homes.get(key, []), version) for key, unit in page], next_page_token=token
    )


def _homes(pipelines: PipelineRules) -> dict[str, list[str]]:
    """ "<pipeline>/<stage>" of every stage that names a unit."""
    homes: dict[str, list[str]] = {}
    for pipeline_id, pipeline in sorted(pipelines.pipelines.items()):
        for stage in pipeline.stages:
            for key in stage.action_unit_keys:
                homes.setdefault(key, []).append(f"{pipeline_id}/{stage.key}")
    return homes


def _belongs(homes: list[str], pipeline_id: str, stage_key: str) -> bool:
    if not pipeline_id and not stage_key:
        return True
    parts = [home.split("/", 1) for home in homes]
    return any((not pipeline_id or at == pipeline_id) and (not stage_key or stage == stage_key) for at, stage in parts)


def _to_proto(key: str, unit: UnitRule, homes: list[str], version: int) -> pb.ActionUnit:
    answer = pb.ActionUnit(
        key=key,
        name=unit.name,
        pack=unit.pack,
        stage_keys=homes,
        points=unit.points,
        result_metric=unit.result_metric,
        version=version,
    )
    for check in unit.checks:
        written = answer.checks.add(key=check.key, name=check.name, kind=number(pb.EvidenceKind, check.kind))
        if check.form:
            written.schema.update(check.form)
    return answer
