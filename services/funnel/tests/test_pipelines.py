"""Pipelines as the rulebook has them: read, versioned, changed while deals stand in them."""

from __future__ import annotations

import pytest

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.funnel.v1 import opportunities_pb2 as deals
from closedloop.funnel.v1 import pipelines_pb2 as pb
from closedloop.funnel.v1 import pipelines_pb2_grpc as rpc
from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.pipelines.stages import StageRule

from .conftest import PROFILE, Company, rid


def client(company: Company) -> rpc.PipelineServiceStub:
    return company.live.stub(rpc.PipelineServiceStub, "rep1", "rep")


async def publish(company: Company, rules: PipelineRules, base: int = 0) -> None:
    request = platform_pb2.PublishRulebookRequest(
        request_id=rid(), name=PipelineRules.rulebook, base_version=base, reason="新流程"
    )
    request.body.update(rules.model_dump(mode="json"))
    await company.live.stub(platform_pb2_grpc.RulebookServiceStub, "ops", "operations").PublishRulebook(request)
    await company.live.settle()


@pytest.mark.mission("S40", "U17")
async def test_the_chain_of_the_documents_is_the_default(company: Company) -> None:
    listed = await client(company).ListPipelines(pb.ListPipelinesRequest())
    assert [(one.id, one.default) for one in listed.pipelines] == [
        ("b2b", True),
        ("crm-import", False),
        ("retail", False),
    ]
    chain = [stage.chain_step for stage in listed.pipelines[0].stages if stage.chain_step]
    assert chain == [
        pb.CHAIN_STEP_PROFILE,
        pb.CHAIN_STEP_NEED,
        pb.CHAIN_STEP_PROPOSAL,
        pb.CHAIN_STEP_QUOTE_APPROVAL,
        pb.CHAIN_STEP_CONTRACT,
        pb.CHAIN_STEP_ARCHIVE,
    ]
    b2b = await client(company).GetPipeline(pb.GetPipelineRequest(pipeline_id="b2b"))
    need = b2b.stages[1]
    matrix = need.requirements[0]
    assert (matrix.key, matrix.kind, matrix.mandatory) == ("pain_matrix", pb.EVIDENCE_KIND_MATRIX, True)
    assert list(need.next_stage_keys) == ["profile", "proposal"]
    assert (need.dwell_limit_days, need.pace_limit_days, need.calendar) == (5, 5.5, "business")
    assert {reason.kind for reason in b2b.reasons} == {pb.STAGE_KIND_WON, pb.STAGE_KIND_LOST}
    page = await client(company).ListPipelines(pb.ListPipelinesRequest(page_size=1))
    rest = await client(company).ListPipelines(pb.ListPipelinesRequest(page_token=page.next_page_token))
    assert [one.id for one in (*page.pipelines, *rest.pipelines)] == ["b2b", "crm-import", "retail"]
    with company.live.refused("NOT_FOUND", "PIPELINE_UNKNOWN"):
        await client(company).GetPipeline(pb.GetPipelineRequest(pipeline_id="nowhere"))
    with company.live.refused("NOT_FOUND", "PIPELINE_UNKNOWN"):
        await client(company).GetPipeline(pb.GetPipelineRequest(pipeline_id="b2b", version=7))


@pytest.mark.mission("S100")
async def test_a_removed_stage_stays_as_long_as_deals_stand_in_it(company: Company) -> None:
    deal = await company.climb(await company.open(), PROFILE)
    rules = PipelineRules()
    b2b = rules.pipelines["b2b"]
    shorter = b2b.model_copy(update={"stages": tuple(stage for stage in b2b.stages if stage.key != "need")})
    await publish(company, rules.model_copy(update={"pipelines": {**rules.pipelines, "b2b": shorter}}))
    seen = await client(company).GetPipeline(pb.GetPipelineRequest(pipeline_id="b2b"))
    assert seen.version == 1
    left_over = seen.stages[-1]
    assert (left_over.key, left_over.name, left_over.retired) == ("need", "需求确认", True)
    was = await client(company).GetPipeline(pb.GetPipelineRequest(pipeline_id="b2b", version=0))
    assert [stage.key for stage in was.stages][:3] == ["profile", "need", "proposal"]
    # It keeps its place: no further than the next stage, as from any other; its clock and its name stay too.
    assert list(left_over.next_stage_keys) == ["profile", "proposal"]
    with company.live.refused("FAILED_PRECONDITION", "QUOTE_NOT_APPROVED"):
        await company.climb(deal, to_stage_key="contract", skip_reason="急")
    with company.live.refused("FAILED_PRECONDITION", "SKIP_NEEDS_REASON"):
        await company.climb(deal, to_stage_key="quote_approval")
    with company.live.refused("FAILED_PRECONDITION", "BACK_NEEDS_REASON"):
        await company.climb(deal, to_stage_key="profile")
    await company.live.advance(days=14)
    tasks = [task.content for task in await company.live.told(approvals.TaskRequested)]
    assert [task.assignee_role for task in tasks] == ["manager_of_owner", "director_of_owner"]
    assert tasks[0].description == "在「需求确认」阶段已停留 5.0 个工作日, 上限 5"
    moved = await company.climb(await company.read(deal.id))
    assert (moved.stage_key, moved.pipeline_version) == ("proposal", 1)
    with company.live.refused("NOT_FOUND", "STAGE_UNKNOWN"):
        await company.climb(moved, to_stage_key="need", back_reason="back")
    seen = await client(company).GetPipeline(pb.GetPipelineRequest(pipeline_id="b2b"))
    assert "need" not in [stage.key for stage in seen.stages]


@pytest.mark.mission("S40", "U17")
async def test_from_a_stage_that_names_where_deals_go_they_go_nowhere_else(company: Company) -> None:
    rules = PipelineRules()
    b2b = rules.pipelines["b2b"]
    stages = tuple(
        s.model_copy(update={"next_stage_keys": ("proposal",)}) if s.key == "profile" else s for s in b2b.stages
    )
    lined = b2b.model_copy(update={"stages": stages})
    await publish(company, rules.model_copy(update={"pipelines": {**rules.pipelines, "b2b": lined}}))
    deal = await company.open()
    with company.live.refused("FAILED_PRECONDITION", "MOVE_NOT_ALLOWED"):
        await company.climb(deal, PROFILE, to_stage_key="need")
    assert (await company.climb(deal, PROFILE)).stage_key == "proposal"


@pytest.mark.mission("U17", "S100")
async def test_retired_stages_and_pipelines_take_no_deals_and_a_unit_has_its_own(company: Company) -> None:
    rules = PipelineRules()
    b2b, crm = rules.pipelines["b2b"], rules.pipelines["crm-import"]
    stages = tuple(s.model_copy(update={"retired": s.key == "need"}) for s in b2b.stages)
    quick = StageRule(key="talk", name="洽谈", probability=0.3, category="pipeline")
    east = b2b.model_copy(
        update={"stages": (quick, *[s for s in b2b.stages if s.kind != "open"]), "unit_ids": ("east",)}
    )
    pipelines = {
        "b2b": b2b.model_copy(update={"stages": stages}),
        "crm-import": crm,
        "east": east,
        "old": crm.model_copy(update={"retired": True}),
    }
    await publish(company, PipelineRules(pipelines=pipelines))
    assert (await company.open()).pipeline_id == "east"
    assert (await company.open("rep2", "rep")).pipeline_id == "b2b"
    with company.live.refused("FAILED_PRECONDITION", "PIPELINE_RETIRED"):
        await company.open(pipeline_id="old")
    deal = await company.open(pipeline_id="b2b")
    with company.live.refused("FAILED_PRECONDITION", "STAGE_RETIRED"):
        await company.climb(deal, PROFILE, to_stage_key="need")
    assert (await company.climb(deal, PROFILE)).stage_key == "proposal"
    listed = await client(company).ListPipelines(pb.ListPipelinesRequest(pack="industrial_b2b"))
    assert [one.id for one in listed.pipelines] == ["b2b", "east"]
    found = await company.deals("ops", "operations").ListOpportunities(
        deals.ListOpportunitiesRequest(scope={"pipeline_id": "east"}, stage_keys=["talk"])
    )
    assert len(found.opportunities) == 1
