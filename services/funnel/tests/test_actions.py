"""Action units: what counts as done, and what a step asks for because of it (S53)."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from closedloop.funnel.v1 import activities_pb2, activities_pb2_grpc
from closedloop.funnel.v1 import events_pb2 as events
from closedloop.funnel.v1 import opportunities_pb2 as deals
from closedloop.funnel.v1 import pipelines_pb2 as pb
from closedloop.funnel.v1 import pipelines_pb2_grpc as rpc
from closedloop_funnel.actions.rules import UnitRules
from closedloop_funnel.actions.units import CheckRule, UnitRule, failed

from .conftest import ACME, PROFILE, Company, matrix
from .test_activities import call

REPORT = (
    "产线三条, 换型平均四小时, 月停产损失约二十万元; 生产总监希望缩短到半小时以内, 财务要求十八个月回本, 质量部担心节拍波动。"
    * 2
)
ROWS = {"rows": [{"pain": "换线慢", "capability": "快速换型"}]}


def claim(key: str, **fields: Any) -> activities_pb2.ActionPerformed:
    content = fields.pop("content", None)
    one = activities_pb2.ActionPerformed(action_unit_key=key, **fields)
    if content is not None:
        one.content.update(content)
    return one


@pytest.mark.mission("S53", "S56")
@pytest.mark.parametrize(
    ("key", "said", "kind", "effective", "expected"),
    [
        ("needs_report", {"note": REPORT}, "meeting", True, []),
        ("needs_report", {"note": "客户要快"}, "meeting", True, ["report"]),
        ("needs_report", {"note": REPORT}, "meeting", False, ["talked"]),
        ("pain_matrix", {"content": ROWS}, "visit", True, []),
        ("pain_matrix", {"content": {"rows": []}}, "visit", True, ["matrix"]),
        ("pain_matrix", {"content": {"rows": [{"pain": "换线慢"}]}}, "visit", True, ["matrix"]),
        ("pain_matrix", {}, "visit", False, ["matrix", "talked"]),
        ("custom_demo", {"note": "客户当场要求第二次演示, 并请财务参加会议"}, "call", True, ["demo"]),
        ("store_visit", {"attachmentIds": ["a", "b", "b"]}, "visit", True, ["photos"]),
        ("store_visit", {"attachmentIds": ["a", "b", "c"]}, "visit", True, []),
        ("dance", {"note": REPORT}, "visit", True, ["unit_unknown"]),
    ],
)
def test_a_claim_holds_when_all_its_checks_do(
    key: str, said: dict[str, Any], kind: str, effective: bool, expected: list[str]
) -> None:
    assert failed(UnitRules().units.get(key), said, activity_kind=kind, effective=effective) == expected


def test_a_form_that_is_no_schema_is_not_published() -> None:
    for form in ({"type": "nonsense"}, {"$ref": "http://127.0.0.1:9/schema.json"}):
        with pytest.raises(ValidationError):
            UnitRules(units={"u": UnitRule(name="u", checks=(CheckRule(key="m", name="m", kind="matrix", form=form),))})
    assert UnitRules().units["needs_report"].points == 5


@pytest.mark.mission("S53", "S40", "U17")
async def test_packs_bring_their_units_and_a_stage_asks_for_what_was_verified(company: Company) -> None:
    rep = company.live.stub(rpc.PipelineServiceStub, "rep1", "rep")
    listed = await rep.ListActionUnits(pb.ListActionUnitsRequest(pipeline_id="b2b", stage_key="need"))
    assert [(unit.key, unit.points) for unit in listed.action_units] == [("needs_report", 5), ("pain_matrix", 3)]
    assert listed.action_units[1].stage_keys == ["b2b/need"]
    assert listed.action_units[1].checks[0].schema["required"][0] == "rows"
    retail = await rep.ListActionUnits(pb.ListActionUnitsRequest(pack="retail_chain", page_size=1))
    rest = await rep.ListActionUnits(pb.ListActionUnitsRequest(pack="retail_chain", page_token=retail.next_page_token))
    assert [unit.key for unit in (*retail.action_units, *rest.action_units)] == ["shelf_count", "store_visit"]
    with company.live.refused("NOT_FOUND", "PIPELINE_UNKNOWN"):
        await rep.ListActionUnits(pb.ListActionUnitsRequest(pipeline_id="nowhere"))

    logs = company.live.stub(activities_pb2_grpc.ActivityServiceStub, "rep1", "rep")
    deal = await company.open(account_id=ACME)
    logged = await logs.LogActivity(
        call(company, opportunity_id=deal.id, actions=[claim("needs_report", note=REPORT, verified=False), claim("x")])
    )
    assert [(one.verified, list(one.failed_checks)) for one in logged.actions] == [
        (True, []),
        (False, ["unit_unknown"]),
    ]
    [told] = await company.live.told(events.ActivityLogged)
    assert told.verified_action_unit_keys == ["needs_report"]

    deal = await company.climb(deal, PROFILE)
    hollow = matrix()
    hollow.content.Clear()
    hollow.content.update({"rows": [{"pain": "换线慢", "capability": ""}]})
    with company.live.refused("INVALID_ARGUMENT", "EVIDENCE_INVALID"):
        await company.climb(deal, hollow)
    assert (await company.climb(deal, matrix())).stage_key == "proposal"

    shop = await company.climb(await company.open(account_id=ACME, pipeline_id="retail"), PROFILE)
    assert shop.stage_key == "store_visit"
    word = deals.StageEvidence(requirement_key="visited", kind=pb.EVIDENCE_KIND_ACTIVITY, record_id=logged.id)
    with company.live.refused("INVALID_ARGUMENT", "EVIDENCE_INVALID"):
        await company.climb(shop, word)
    with company.live.refused("FAILED_PRECONDITION", "EVIDENCE_MISSING"):
        await company.climb(shop)
    # What no photo proves today may be passed over, but not silently.
    skipped = await company.climb(shop, skip_reason="门店改造中, 下周补拍")
    moves = await company.deals("rep1", "rep").ListStageMoves(
        deals.ListStageMovesRequest(opportunity_id=skipped.id, skips_only=True)
    )
    assert [(list(m.skipped_requirement_keys), m.reason) for m in moves.moves] == [
        (["visited"], "门店改造中, 下周补拍")
    ]
