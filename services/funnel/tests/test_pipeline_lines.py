"""A pipeline as lines: what FULL tells of them, kept as it was answered, and never an old one."""

from __future__ import annotations

from typing import Any

from prometheus_client import REGISTRY

from closedloop.funnel.v1 import activities_pb2, activities_pb2_grpc
from closedloop.funnel.v1 import opportunities_pb2 as pb
from closedloop_chassis import protos

from .conftest import ACME, PROFILE, Company, account, cny, rid
from .test_opportunities import updating

FIELDS = [
    *("id", "etag", "name", "ownership", "pipeline_id", "stage_key", "state", "account_id", "account_name", "amount"),
    *("probability_ratio", "forecast_category", "expected_close_date", "close_date", "dwell_light", "review_id"),
    "update_time",
]


def made() -> float:
    return REGISTRY.get_sample_value("closedloop_answers_total", {"source": "made"}) or 0


async def lines(
    company: Company, person: str = "rep1", role: str = "rep", **fields: Any
) -> pb.ListOpportunitiesResponse:
    request = pb.ListOpportunitiesRequest(view=pb.OPPORTUNITY_VIEW_BASIC, **fields)
    found: pb.ListOpportunitiesResponse = await company.deals(person, role).ListOpportunities(request)
    return found


async def names(company: Company, person: str, role: str) -> set[str]:
    return {line.name for line in (await lines(company, person, role)).opportunities}


async def test_a_line_tells_what_the_deal_tells_and_pages_as_the_list_does(company: Company) -> None:
    first = await company.open(name="一", account_id=ACME, amount=cny(300_000))
    await company.climb(first, PROFILE)
    await company.open(name="二", need="产能翻番", amount=None)
    await company.open(name="三", amount=cny(100_000))
    rep = company.deals("rep1", "rep")
    for order_by in ("update_time desc", "amount desc", "expected_close_date", "dwell_days desc"):
        full = await rep.ListOpportunities(pb.ListOpportunitiesRequest(order_by=order_by))
        token, shown = "", []
        while True:
            page = await lines(company, order_by=order_by, page_size=2, page_token=token)
            shown += page.opportunities
            if not (token := page.next_page_token):
                break
        for line, deal in zip(shown, full.opportunities, strict=True):
            assert all(getattr(line, name) == getattr(deal, name) for name in FIELDS)
            assert {field.name for field, _ in line.ListFields()} <= set(FIELDS)
    narrowed = await lines(company, query="阿克姆", states=[pb.OPPORTUNITY_STATE_OPEN], scope={"account_id": ACME})
    assert [line.name for line in narrowed.opportunities] == ["一"]
    with company.live.refused("INVALID_ARGUMENT", "ORDER_UNKNOWN"):
        await lines(company, order_by="color")


async def test_lines_are_kept_until_a_deal_in_sight_changes(company: Company) -> None:
    deal = await company.open(account_id=ACME)
    everybody = (("rep1", "rep"), ("m1", "manager"), ("ops", "operations"))
    for person, role in everybody:
        assert await names(company, person, role) == {"MES 升级"}
    assert await names(company, "rep2", "rep") == set()
    before = made()
    started = protos.timestamp(company.live.now)
    await company.live.stub(activities_pb2_grpc.ActivityServiceStub, "rep1", "rep").LogActivity(
        activities_pb2.LogActivityRequest(
            request_id=rid(), kind="ACTIVITY_KIND_CALL", opportunity_id=deal.id, start_time=started, content="谈了需求"
        )
    )
    for person, role in everybody:
        assert await names(company, person, role) == {"MES 升级"}
    assert made() == before, "who was in touch last is on no line"
    deal = await company.deals("rep1", "rep").UpdateOpportunity(updating(deal, "name", name="产线"))
    await company.open("rep2", name="北方")
    for person, role in everybody[:2]:
        assert await names(company, person, role) == {"产线"}, "at once"
    assert await names(company, "ops", "operations") == {"产线", "北方"}
    before = made()
    await company.open("rep2", name="北方二期")
    assert await names(company, "rep1", "rep") == {"产线"}
    assert made() == before, "what somebody else's team does leaves the list as it is"
    assert await names(company, "rep2", "rep") == {"北方二期", "北方"}
    # Who takes part sees the deal, and no longer when that is over.
    helper = pb.Participant(person_id="rep2", role=pb.PARTICIPANT_ROLE_CO_SELLER)
    deal = await company.deals("rep1", "rep").UpdateOpportunity(updating(deal, "participants", participants=[helper]))
    assert await names(company, "rep2", "rep") == {"产线", "北方二期", "北方"}
    deal = await company.deals("rep1", "rep").UpdateOpportunity(updating(deal, "participants"))
    assert await names(company, "rep2", "rep") == {"北方二期", "北方"}
    await company.live.hear(account(ACME, "阿克姆集团", version=2))
    [line] = (await lines(company)).opportunities
    assert (line.account_name, line.etag) == ("阿克姆集团", deal.etag)
