"""Deals of another system: a real file of 8,800, names and aliases, row errors, a second run that changes nothing."""

from __future__ import annotations

import asyncio
import csv
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.interval_pb2 import Interval
from google.type.money_pb2 import Money

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.common.v1.common_pb2 import BulkSummary, CustomFieldRange, Provenance
from closedloop.funnel.v1 import boards_pb2, boards_pb2_grpc
from closedloop.funnel.v1 import events_pb2 as events
from closedloop.funnel.v1 import opportunities_pb2 as pb
from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop_funnel.opportunities.rules import OpportunityRules
from closedloop_funnel.opportunities.store import FILTERS

from .conftest import ACME, Company, account, cny, day, product, rid


def row(source_id: str, stage: str = "Engaging", owner: str = "rep1", **fields: object) -> pb.OpportunityRow:
    return pb.OpportunityRow(
        provenance=Provenance(source="crm", source_id=source_id), owner=owner, stage=stage, **fields
    )


async def bring(company: Company, *rows: pb.OpportunityRow, dry: bool = False) -> pb.BulkImportOpportunitiesResponse:
    request = pb.BulkImportOpportunitiesRequest(request_id=rid(), rows=rows, validate_only=dry)
    return await company.deals("ops", "operations").BulkImportOpportunities(request, timeout=60)


def figures(summary: BulkSummary) -> tuple[int, int, int, int, int]:
    return (summary.read, summary.created, summary.updated, summary.unchanged, summary.rejected)


def _date(text: str) -> Date | None:
    if not text:
        return None
    found = datetime.strptime(text, "%d-%m-%y")
    return day(found.year, found.month, found.day)


def _of_file(line: dict[str, str]) -> pb.OpportunityRow:
    value = line["close_value"]
    return pb.OpportunityRow(
        provenance=Provenance(source="crm", source_id=line["opportunity_id"]),
        owner=line["sales_agent"],
        account=line["account"],
        product=line["product"],
        stage=line["deal_stage"],
        engage_date=_date(line["engage_date"]),
        close_date=_date(line["close_date"]),
        value=Money(currency_code="USD", units=int(value)) if value else None,
    )


@pytest.mark.timeout(300)
@pytest.mark.mission("U14", "U15", "S67")
async def test_the_real_file_comes_in_whole_and_a_second_time_changes_nothing(
    company: Company, data_folder: Path
) -> None:
    with (data_folder / "crm" / "sales_pipeline.csv").open() as file:
        lines = list(csv.DictReader(file))
    agents = sorted({line["sales_agent"] for line in lines})
    await company.live.organise([], [(f"a{i}", "team1", name, ["rep"]) for i, name in enumerate(agents)])
    for i, name in enumerate(sorted({line["account"] for line in lines} - {""})):
        await company.live.hear(account(f"0190a000-0000-7000-8000-{i:012x}", name, version=9), subject=name)
    for i, name in enumerate(sorted({line["product"] for line in lines} - {"GTXPro", "MG Special"})):
        await company.live.hear(product(f"p{i}", name, 100), subject=name)
    rows = [_of_file(line) for line in lines]

    dry = await bring(company, *rows, dry=True)
    assert figures(dry.summary) == (8800, 8800, 0, 0, 0), dry.summary.errors[:3]
    assert not any(dry.opportunity_ids)
    assert await company.live.db.value("SELECT count(*) FROM opportunity") == 0

    started = time.monotonic()
    first = await bring(company, *rows)
    seconds = time.monotonic() - started
    assert figures(first.summary) == (8800, 8800, 0, 0, 0)
    assert seconds < 40, f"8,800 rows took {seconds:.1f} s"
    started = time.monotonic()
    second = await bring(company, *rows)
    assert time.monotonic() - started < 15
    assert figures(second.summary) == (8800, 0, 0, 8800, 0)
    assert second.opportunity_ids == first.opportunity_ids

    found = await company.live.db.all(
        "SELECT stage_key, count(*) AS deals, sum(amount_minor) AS worth,"
        " count(*) FILTER (WHERE account_id IS NULL) AS bare,"
        " count(*) FILTER (WHERE 'gtx-pro' = ANY(product_ids)) AS gtx_pro FROM opportunity GROUP BY stage_key"
    )
    by_stage = {one["stage_key"]: one for one in found}
    assert {key: one["deals"] for key, one in by_stage.items()} == {
        "won": 4238,
        "lost": 2473,
        "engaging": 1589,
        "prospecting": 500,
    }
    assert by_stage["won"]["worth"] == 10_005_534_00
    assert sum(one["bare"] for one in found) == 1425
    assert sum(one["gtx_pro"] for one in found) == 1480
    told = await company.live.told(events.OpportunityWon)
    assert len(told) == 4238
    assert all(one.imported and one.amount == one.lines[0].amount for one in told)
    assert await company.live.db.value("SELECT count(*) FROM clock") == 0
    listed = await company.deals("ops", "operations").ListOpportunities(pb.ListOpportunitiesRequest(page_size=1000))
    assert len(listed.opportunities) == 1000
    period = Interval()
    period.start_time.FromJsonString("2016-01-01T00:00:00Z")
    asked = boards_pb2.GetFunnelBoardRequest(scope={"pipeline_id": "crm-import"}, period=period)
    started = time.monotonic()
    board = await company.live.stub(boards_pb2_grpc.BoardServiceStub, "ops", "operations").GetFunnelBoard(asked)
    assert time.monotonic() - started < 15
    assert (board.rows[0].won_count, board.rows[0].lost_count) == (4238, 2473)
    assert [stage.open_count for stage in board.rows[0].stages] == [500, 1589]


async def test_each_row_stands_for_itself(company: Company) -> None:
    await company.live.hear(account("0190a000-0000-7000-8000-000000000009", "阿克姆"), subject="9")
    twice = row("t-1")
    answer = await bring(
        company,
        row("r-0", account="acme  corporation", product="gtxpro", value=cny(10)),
        row("r-1", owner="nobody"),
        row("r-2", account="Unheard Of"),
        row("r-3", account="阿克姆"),
        row("r-4", product="GTX 9000"),
        row("r-5", stage="Dreaming"),
        row("r-6", stage="Won"),
        row("r-7", stage="Won", engage_date=day(2025, 2, 1), close_date=day(2025, 1, 1)),
        row("r-8", stage="Lost", close_date=day(2027, 1, 1)),
        row("r-9", stage="Won", close_date=day(2025, 1, 1), reason_code="weather"),
        row("r-10", state=pb.OPPORTUNITY_STATE_WON, close_date=day(2025, 1, 1)),
        row("r-11", pipeline_id="nowhere"),
        twice,
        twice,
        row("", value=cny(1)),
        row("r-15", owner=""),
        row("r-16", owner="张三", account=ACME, engage_date=Date(year=2025, month=2, day=30)),
    )
    assert figures(answer.summary) == (17, 2, 0, 0, 15)
    assert [(e.row, e.reason) for e in answer.summary.errors] == [
        (1, "OWNER_UNKNOWN"),
        (2, "ACCOUNT_UNKNOWN"),
        (3, "ACCOUNT_AMBIGUOUS"),
        (4, "PRODUCT_UNKNOWN"),
        (5, "STAGE_UNKNOWN"),
        (6, "CLOSE_DATE_REQUIRED"),
        (7, "DATES_REVERSED"),
        (8, "DATE_IN_FUTURE"),
        (9, "REASON_UNKNOWN"),
        (10, "STATE_CONTRADICTS_STAGE"),
        (11, "PIPELINE_UNKNOWN"),
        (13, "DUPLICATE_ROW"),
        (14, "SOURCE_ID_REQUIRED"),
        (15, "ROW_INVALID"),
        (16, "NOT_A_DAY"),
    ]
    assert [bool(one) for one in answer.opportunity_ids] == [True] + [False] * 11 + [True] + [False] * 4
    deal = await company.read(answer.opportunity_ids[0])
    assert (deal.account_name, deal.lines[0].product_id, deal.imported) == ("阿克姆", "gtx-pro", True)
    with company.live.refused("PERMISSION_DENIED"):
        await company.deals("rep1", "rep").BulkImportOpportunities(
            pb.BulkImportOpportunitiesRequest(request_id=rid(), rows=[row("x")])
        )


async def test_a_changed_row_moves_the_deal_on_record(company: Company) -> None:
    first = await bring(
        company, row("c-1", value=cny(10), expected_close_date=day(2026, 2, 1)), row("c-2", value=cny(5))
    )
    [moving, _] = first.opportunity_ids
    again = await bring(
        company,
        row("c-1", stage="Won", value=cny(12), close_date=day(2026, 1, 4), expected_close_date=day(2026, 2, 3)),
        row("c-2", value=cny(5)),
    )
    assert figures(again.summary) == (2, 0, 1, 1, 0)
    assert list(again.opportunity_ids) == list(first.opportunity_ids)
    deal = await company.read(moving)
    assert (deal.stage_key, deal.amount, deal.push_count, deal.etag) == ("won", cny(12), 1, '"2"')
    [won] = await company.live.told(events.OpportunityWon)
    assert (won.opportunity_id, won.version, won.imported) == (moving, 2, True)
    back = await bring(company, row("c-1", stage="Engaging", value=cny(12)))
    assert figures(back.summary) == (1, 0, 1, 0, 0)
    [reopened] = await company.live.told(events.OpportunityReopened)
    assert reopened.amount == cny(12)
    moves = await company.deals("ops", "operations").ListStageMoves(pb.ListStageMovesRequest(opportunity_id=moving))
    assert [(m.from_stage_key, m.to_stage_key, m.imported) for m in moves.moves] == [
        ("", "engaging", True),
        ("engaging", "won", True),
        ("won", "engaging", True),
    ]


@pytest.mark.mission("S40")
async def test_a_deal_that_was_opened_here_is_not_moved_by_an_import(company: Company) -> None:
    here = await company.open(provenance=Provenance(source="crm", source_id="c-9"))
    known = {"pipeline_id": here.pipeline_id, "value": cny(7)}
    refused = await bring(company, row("c-9", stage="won", close_date=day(2026, 1, 4), **known))
    assert [error.reason for error in refused.summary.errors] == ["DEAL_WORKED_HERE"]
    assert figures((await bring(company, row("c-9", stage="profile", **known))).summary) == (1, 0, 1, 0, 0)
    deal = await company.read(here.id)
    assert (deal.stage_key, deal.amount, deal.imported) == ("profile", cny(7), False)


@pytest.mark.mission("S44")
async def test_history_keeps_its_way_and_its_dwell(company: Company) -> None:
    visits = [("Prospecting", "2025-03-03T01:00:00Z"), ("Engaging", "2025-03-10T01:00:00Z")]
    history = []
    for stage, moment in visits:
        at = Timestamp()
        at.FromJsonString(moment)
        history.append(pb.StageVisit(stage=stage, enter_time=at))
    soon = int((company.live.now + timedelta(hours=1)).timestamp())
    answer = await bring(
        company,
        row("h-1", stage="Lost", close_date=day(2025, 3, 20), stage_history=history, value=cny(7)),
        row("h-2", stage_history=list(reversed(history))),
        row("h-3", stage="Prospecting", stage_history=history),
        # Nothing has happened that is still to come, by an hour or by a year.
        row("h-4", create_time=Timestamp(seconds=soon)),
        row("h-5", stage_history=[*history[:1], pb.StageVisit(stage="Engaging", enter_time=Timestamp(seconds=soon))]),
    )
    assert [(error.reason, error.field) for error in answer.summary.errors[2:]] == [
        ("TIME_IN_FUTURE", "create_time"),
        ("TIME_IN_FUTURE", "stage_history.1.enter_time"),
    ]
    assert [error.reason for error in answer.summary.errors[:2]] == ["HISTORY_OUT_OF_ORDER"] * 2
    moves = await company.deals("ops", "operations").ListStageMoves(
        pb.ListStageMovesRequest(opportunity_id=answer.opportunity_ids[0])
    )
    assert [(m.from_stage_key, m.to_stage_key) for m in moves.moves] == [
        ("", "prospecting"),
        ("prospecting", "engaging"),
        ("engaging", "lost"),
    ]
    # Monday to Monday at nine: five working days.
    assert moves.moves[1].dwell_days == pytest.approx(5.0)
    assert moves.moves[1].dwell.ToTimedelta().days == 7
    [lost] = await company.live.told(events.OpportunityLost)
    assert lost.stage_key == "engaging"


async def test_a_row_nobody_can_store_is_that_rows_error(company: Company) -> None:
    endless = row("n-1")
    endless.custom_fields.update({"score": float("nan")})
    huge = pb.OpportunityLine(
        product_id="gtx-pro", quantity=1e9, unit_price=Money(currency_code="CNY", units=900_000_000_000)
    )
    ancient = row("n-3", engage_date=day(1999, 5, 3), value=cny(1))
    below = row("n-5", value=cny(-5))
    answer = await bring(company, endless, row("n-2", lines=[huge]), ancient, row("n-4", name="a\0b"), below)
    assert [(e.row, e.reason, e.field) for e in answer.summary.errors if e.reason == "ROW_INVALID"] == [
        (0, "ROW_INVALID", "custom_fields"),
        (3, "ROW_INVALID", "name"),
        (4, "ROW_INVALID", "value"),
    ]
    assert [(e.row, e.reason) for e in answer.summary.errors][1] == (1, "AMOUNT_TOO_LARGE")
    assert answer.summary.errors[0].field.startswith("custom_fields")
    # No calendar knows 1999, and one such deal does not spoil the list.
    listed = await company.deals("ops", "operations").ListOpportunities(pb.ListOpportunitiesRequest())
    assert [(one.engage_date, one.dwell_days) for one in listed.opportunities] == [(day(1999, 5, 3), 0)]


@pytest.mark.mission("S100", "U14")
async def test_deals_come_with_the_companys_own_fields_and_are_found_by_them(company: Company) -> None:
    rulebooks = company.live.stub(platform_pb2_grpc.RulebookServiceStub, "ops", "operations")
    publish = platform_pb2.PublishRulebookRequest(request_id=rid(), name="funnel.custom_fields", reason="自定义字段")
    publish.body.update({"opportunity": {"volume": {"type": "number"}, "mode": {"options": ["整线", "单机"]}}})
    await rulebooks.PublishRulebook(publish)
    await company.live.process.look()
    rows = [row(f"f-{n}") for n in range(4)]
    for one, fields in zip(rows, ({"volume": 5, "mode": "整线"}, {"volume": 50}, {"mode": "半线"}, {}), strict=True):
        one.custom_fields.update(fields)
    answer = await bring(company, *rows)
    assert [(error.row, error.reason) for error in answer.summary.errors] == [(2, "CUSTOM_FIELD_INVALID")]

    async def found(equal: dict[str, object], *ranges: CustomFieldRange, basic: bool = False) -> list[str]:
        view = pb.OPPORTUNITY_VIEW_BASIC if basic else pb.OPPORTUNITY_VIEW_UNSPECIFIED
        request = pb.ListOpportunitiesRequest(custom_field_ranges=ranges, view=view)
        request.custom_fields.update(equal)
        answer = await company.deals("ops", "operations").ListOpportunities(request)
        return sorted(answer.opportunities[n].id for n in range(len(answer.opportunities)))

    first, second = answer.opportunity_ids[:2]
    for basic in (False, True):
        assert await found({"mode": "整线"}, basic=basic) == [first]
        assert await found({}, CustomFieldRange(name="volume", least=6), basic=basic) == [second]
    assert await found({"volume": 5}, CustomFieldRange(name="volume", most=4)) == []
    assert len(await found({})) == 3
    with company.live.refused("INVALID_ARGUMENT", "CUSTOM_FIELD_INVALID"):
        await found({"volume": "5"})
    tx = company.live.process.database.transaction()
    tx.do("SET LOCAL enable_seqscan = off")
    asked = FILTERS["custom_fields"].replace("%(custom_fields)s", '\'$."mode" == "整线"\'')
    plan = "\n".join(one["QUERY PLAN"] for one in await tx.all(f"EXPLAIN SELECT id FROM opportunity o WHERE {asked}"))
    assert "opportunity_custom_fields" in plan


@pytest.mark.mission("U15")
async def test_two_imports_of_one_source_at_once_bring_each_deal_once(company: Company) -> None:
    rows = [row(f"p-{i}", value=cny(i)) for i in range(300)]
    answers = await asyncio.gather(bring(company, *rows), bring(company, *rows))
    assert sorted(figures(one.summary) for one in answers) == [(300, 0, 0, 300, 0), (300, 300, 0, 0, 0)]
    assert await company.live.db.value("SELECT count(*) FROM opportunity") == 300


@pytest.mark.mission("S41")
async def test_open_deals_are_watched_from_their_import_where_the_rulebook_says_so(company: Company) -> None:
    body = OpportunityRules(watch_imported=True).model_dump(mode="json")
    publishing = platform_pb2.PublishRulebookRequest(
        request_id=rid(), name=OpportunityRules.rulebook, base_version=0, reason="看住导入商机"
    )
    publishing.body.update(body)
    await company.live.stub(platform_pb2_grpc.RulebookServiceStub, "ops", "operations").PublishRulebook(publishing)
    await company.live.settle()
    brought = await bring(company, row("w-1"), row("w-2", stage="Won", close_date=day(2026, 1, 1), value=cny(1)))
    await company.live.advance(days=5)
    [task] = await company.live.told(approvals.TaskRequested)
    assert task.content.subject_id == brought.opportunity_ids[0]
