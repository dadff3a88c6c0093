"""Step 4: an opportunity climbs, each step with its evidence."""

from __future__ import annotations

from datetime import timedelta

from google.protobuf.field_mask_pb2 import FieldMask
from google.type.latlng_pb2 import LatLng

from closedloop.customers.v1 import leads_pb2, leads_pb2_grpc
from closedloop.funnel.v1 import (
    activities_pb2,
    activities_pb2_grpc,
    opportunities_pb2,
    opportunities_pb2_grpc,
    pipelines_pb2,
)
from closedloop_chassis import ids, protos
from closedloop_devstack.demo import rows
from closedloop_devstack.demo.narrator import Text
from closedloop_devstack.demo.tale import Chapter, Tale, yuan
from closedloop_devstack.demo.watch import START

PRODUCT, QUANTITY = "P-103", 8
DWELL = "funnel.stage_dwell"


def play(tale: Tale) -> None:
    tale.stage.move_to(START + timedelta(hours=4, minutes=30))
    deal = _converted(tale)
    _refused_without_evidence(tale, deal)
    _climb(tale, _note("customer_profile", "年营收 6 亿，三条产线，决策人为生产副总，财务总监会签"))
    _visit(tale)
    matrix = opportunities_pb2.StageEvidence(requirement_key="pain_matrix", kind=pipelines_pb2.EVIDENCE_KIND_MATRIX)
    matrix.content.update({"rows": [{"pain": "换型四小时", "capability": "柔性产线 F1，换型 20 分钟"}]})
    _climb(tale, matrix)
    proposal = _note("proposal", "方案书 v2：柔性产线 F1 八套，含视觉检测接口")
    proposal.kind = pipelines_pb2.EVIDENCE_KIND_PROPOSAL
    _climb(tale, proposal)
    _on_record(tale)
    tale.close(
        Text(
            "过程黑箱：只知道签没签，不知道卡在哪",
            "The black box: nobody knows what happens between lead and signature",
        ),
        Text("每一步留下证据才能前进，停留有时钟", "No step without its evidence, and every stage has its clock"),
    )


def _deals(tale: Tale) -> opportunities_pb2_grpc.OpportunityServiceStub:
    return tale.stage.stub(opportunities_pb2_grpc.OpportunityServiceStub, tale.threads.seller)


def _read(tale: Tale) -> opportunities_pb2.Opportunity:
    return _deals(tale).GetOpportunity(opportunities_pb2.GetOpportunityRequest(opportunity_id=tale.threads.deal_id))


def _note(key: str, words: str) -> opportunities_pb2.StageEvidence:
    return opportunities_pb2.StageEvidence(requirement_key=key, kind=pipelines_pb2.EVIDENCE_KIND_NOTE, note=words)


def _converted(tale: Tale) -> opportunities_pb2.Opportunity:
    """The answered lead becomes account, contact and opportunity."""
    lead = tale.stage.stub(leads_pb2_grpc.LeadServiceStub, "OPS-1").GetLead(
        leads_pb2.GetLeadRequest(id=tale.threads.lead_id)
    )
    tale.threads.seller = lead.ownership.owner_id
    leads = tale.stage.stub(leads_pb2_grpc.LeadServiceStub, tale.threads.seller)
    leads.ConvertLead(
        leads_pb2.ConvertLeadRequest(
            request_id=ids.new_id(),
            id=lead.id,
            etag=lead.etag,
            opportunity_name="柔性产线改造",
            expected_amount=rows.cny(QUANTITY * tale.company.product[PRODUCT].list_price),
            expected_close_date=rows.day(2026, 3, 20),
            open_opportunity=True,
        )
    )

    def opened() -> leads_pb2.Lead | None:
        read = leads.GetLead(leads_pb2.GetLeadRequest(id=lead.id))
        return read if read.opportunity_id else None

    read = tale.stage.until("the funnel to open the opportunity", opened)
    tale.threads.deal_id, tale.threads.account_id = read.opportunity_id, read.account_id
    tale.threads.account_name = read.profile.company_name
    deal = _read(tale)
    tale.tell(
        f"{tale.name(tale.threads.seller)} 把线索转为客户、联系人和商机“{deal.name}”。",
        f"{tale.name(tale.threads.seller)} turns the lead into account, contact and the opportunity “{deal.name}”.",
    )
    tale.check(
        "商机在漏斗里，来自这条线索，负责人不变",
        "the opportunity is in the funnel, grown from this lead, with the same owner",
        deal.lead_id == lead.id
        and deal.ownership.owner_id == lead.ownership.owner_id
        and deal.account_id == read.account_id,
    )
    line = opportunities_pb2.OpportunityLine(product_id=PRODUCT, quantity=QUANTITY)
    updated = _deals(tale).UpdateOpportunity(
        opportunities_pb2.UpdateOpportunityRequest(
            request_id=ids.new_id(),
            opportunity_id=deal.id,
            etag=deal.etag,
            update_mask=FieldMask(paths=["lines"]),
            lines=[line],
        )
    )
    tale.facts(amount=yuan(updated.amount), seller=tale.threads.seller, stage=updated.stage_key)
    return updated


def _refused_without_evidence(tale: Tale, deal: opportunities_pb2.Opportunity) -> None:
    with tale.stage.refused("FAILED_PRECONDITION", "EVIDENCE_MISSING") as refusal:
        _advance(tale, deal)
    tale.tell("想直接推进到下一阶段，没有任何记录。", "The seller wants to move on with nothing on record.")
    tale.rule(
        "funnel",
        "funnel.pipelines",
        "每一步要留下证据，缺一不可",
        "each step leaves its evidence, none is skipped silently",
    )
    read = _read(tale)
    lacking = [rule.key for rule in read.missing_evidence if rule.mandatory]
    tale.facts(refused={"reason": refusal.reason, "missing": lacking})
    tale.check(
        f"被拒绝：缺 {'、'.join(rule.name for rule in read.missing_evidence if rule.mandatory)}",
        f"refused; missing: {', '.join(lacking)}",
        bool(lacking) and read.stage_key == deal.stage_key,
    )


def _advance(
    tale: Tale, deal: opportunities_pb2.Opportunity, *evidence: opportunities_pb2.StageEvidence
) -> opportunities_pb2.Opportunity:
    return _deals(tale).AdvanceOpportunity(
        opportunities_pb2.AdvanceOpportunityRequest(
            request_id=ids.new_id(), opportunity_id=deal.id, etag=deal.etag, evidence=evidence
        )
    )


def _climb(tale: Tale, evidence: opportunities_pb2.StageEvidence) -> None:
    before = _read(tale)
    _advance(tale, before, evidence)
    after = _read(tale)
    tale.figures(
        f"凭“{evidence.requirement_key}”推进", f"stage, on “{evidence.requirement_key}”",
        f"{before.stage_key} {before.probability_ratio:.0%}", f"{after.stage_key} {after.probability_ratio:.0%}",
    )  # fmt: skip
    tale.check(
        f"到了 {after.stage_key}，证据存档",
        f"it stands at {after.stage_key}, the evidence on record",
        after.stage_key != before.stage_key
        and evidence.requirement_key in {kept.requirement_key for kept in after.evidence},
    )


def _visit(tale: Tale) -> None:
    activities = tale.stage.stub(activities_pb2_grpc.ActivityServiceStub, tale.threads.seller)
    end = tale.stage.now
    logged = activities.LogActivity(
        activities_pb2.LogActivityRequest(
            request_id=ids.new_id(),
            kind=activities_pb2.ACTIVITY_KIND_VISIT,
            account_id=tale.threads.account_id,
            opportunity_id=tale.threads.deal_id,
            subject="到厂看现场",
            start_time=protos.timestamp(end - timedelta(minutes=50)),
            end_time=protos.timestamp(end),
            content="与生产副总走完三条产线，确认换型是瓶颈；对视觉检测有顾虑，担心误检率。",
            attitude_before=activities_pb2.ATTITUDE_NEUTRAL,
            attitude_after=activities_pb2.ATTITUDE_WARM,
            next_step="周三前给出换型时间测算与误检率数据",
            next_step_date=rows.day(2026, 1, 7),
            visit=activities_pb2.VisitEvidence(
                position=LatLng(latitude=31.299, longitude=120.585),
                place="苏州新途精密",
                check_in_time=protos.timestamp(end - timedelta(minutes=50)),
            ),
        )
    )
    read = activities.GetActivity(activities_pb2.GetActivityRequest(activity_id=logged.id))
    name = activities_pb2.Attitude.Name
    tale.facts(visit={"attitude": [name(read.attitude_before), name(read.attitude_after)], "next_step": read.next_step})
    tale.figures("客户态度", "customer's attitude", "中立 neutral", "友好 warm")
    tale.check(
        "拜访日志留下谈话内容、态度变化和下一步",
        "the log keeps what was said, how the attitude moved and the next step",
        bool(read.content and read.next_step) and read.attitude_after > read.attitude_before,
    )


def _on_record(tale: Tale) -> None:
    moves = (
        _deals(tale).ListStageMoves(opportunities_pb2.ListStageMovesRequest(opportunity_id=tale.threads.deal_id)).moves
    )
    way = " → ".join(move.to_stage_key for move in moves)
    tale.facts(way=[move.to_stage_key for move in moves])
    skipped = [key for move in moves for key in (*move.skipped_stage_keys, *move.skipped_requirement_keys)]
    tale.check(
        f"全程可查：{way}，没有跳步",
        f"the whole way is on record: {way}, nothing skipped",
        len(moves) == 4 and not skipped,
    )
    for clock in tale.stage.clocks("funnel", DWELL, tale.threads.deal_id)[-1:]:
        tale.clock(clock)


CHAPTER = Chapter(
    id="4",
    title=Text("商机：凭证据爬坡", "The opportunity climbs on evidence"),
    rows=("S40", "S42"),
    play=play,
    needs=("1", "3"),
)
