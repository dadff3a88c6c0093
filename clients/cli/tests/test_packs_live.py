"""The shipped packs on running services: set up, set up again, taken out again and put into another company."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from closedloop.customers.v1 import accounts_pb2, identity_pb2, identity_pb2_grpc
from closedloop.funnel.v1 import quotes_pb2, quotes_pb2_grpc
from closedloop_chassis import client
from closedloop_chassis.ids import new_id
from closedloop_devstack.platform.home import project
from closedloop_devstack.testing.companies import Company

pytestmark = [pytest.mark.mission("S100"), pytest.mark.timeout(300)]
PACKS = project() / "packs"


@pytest.fixture(scope="module")
def industry(companies: Callable[[], Company]) -> Company:
    """The company that the industrial pack sets up."""
    return companies()


@pytest.fixture(scope="module")
def works(industry: Company, shell: Any) -> Any:
    """Its command line."""
    return shell(**industry.environment())


@pytest.fixture(scope="module")
def shop(companies: Callable[[], Company], shell: Any) -> Any:
    """The command line of the company that the retail pack sets up."""
    return shell(**companies().environment())


def test_an_industrial_company_is_set_up_from_its_pack(works: Any) -> None:
    pack = PACKS / "industrial-b2b"
    announced = works.json("pack", "diff", pack)
    applied = works.json("pack", "apply", pack)
    assert announced["changes"] == applied["changes"]
    assert (applied["new"], applied["same"]) == (73, 1)
    assert applied["changed"] >= 24
    again = works.json("pack", "apply", pack)
    assert (again["new"], again["changed"], again["changes"]) == (0, 0, [])
    # Seen by whoever works there.
    nodes = works.json("targets", "tree")["nodes"]
    assert [node["name"] for node in nodes][:1] == ["示例工业股份有限公司"]
    assert "spare-parts" in works("rules", "show", "funnel.pipelines")
    assert works.json("rules", "show", "funnel.quotes")["history"][0]["reason"] == "工业 B2B（设备与解决方案）"


def test_business_takes_the_ways_of_the_pack(works: Any, industry: Company, shell: Any) -> None:
    """A quote of a large machine goes to those whom the flows name; an inquiry to who sells there and to whom."""
    seller = shell(**industry.environment("EAST-SH-1-R1", "rep"))
    asked = ("--amount", "1200000 CNY", "--discount", "0.15", "--margin", "0.1", "--owner", "EAST-SH-1-R1")
    route = seller.json("approvals", "policies", "route", "quote", *asked)
    signers = [[signer["personId"] for signer in step["signers"]] for step in route["steps"]]
    assert signers[:2] == [["EAST-SH-1-L"], ["EAST-D"]]
    assert {person for step in signers for person in step} >= {"FIN-M", "LEGAL-M", "DELIVERY-M"}
    assert not seller.json("approvals", "policies", "route", "quote", "--amount", "1000 CNY", "--discount", "0.05")[
        "steps"
    ]
    inquiry = ("--company", "甬江食品", "--phone", "13800138000", "--region", "33", "--industry", "food")
    lead = works.json("leads", "intake", *inquiry, "--need", "灌装线")
    assert lead["ownership"]["unitId"] == "EAST-SH-2"


@pytest.mark.parametrize(("role", "reason"), [("manager", "ROLE_NOT_GRANTED"), ("operations", "RECORD_NOT_FOUND")])
def test_permissions_are_data(works: Any, industry: Company, role: str, reason: str) -> None:
    """The contract lets managers merge customers; the pack of this company does not."""
    environment = industry.environment("EAST-SH-M", role)
    request = identity_pb2.MergeRecordsRequest(
        request_id=new_id(),
        survivor=accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_ACCOUNT, id=new_id()),
        survivor_etag="1",
        absorbed_ids=[new_id()],
        reason="重复",
    )
    with grpc.insecure_channel(json.loads(environment["CLOSEDLOOP_PEERS"])["customers"]) as channel:
        stub = identity_pb2_grpc.IdentityServiceStub(channel)
        with pytest.raises(grpc.RpcError) as raised:
            stub.MergeRecords(request, metadata=(("authorization", f"Bearer {environment['CLOSEDLOOP_TOKEN']}"),))
    refused: Any = raised.value
    assert client.info(refused).reason == reason


def test_a_retail_company_is_set_up_from_its_pack(shop: Any) -> None:
    pack = PACKS / "retail-chain"
    applied = shop.json("pack", "apply", pack)
    assert applied["new"] == 71
    assert shop.json("pack", "diff", pack)["changes"] == []


def test_a_company_taken_out_and_put_into_another_is_the_same(
    works: Any, companies: Callable[[], Company], shell: Any, tmp_path: Path
) -> None:
    works("pack", "export", tmp_path / "first", "--title", "导出")
    assert works.json("pack", "diff", tmp_path / "first")["changes"] == []
    other = shell(**companies().environment())
    other("pack", "apply", tmp_path / "first")
    other("pack", "export", tmp_path / "second", "--title", "导出")
    assert _files(tmp_path / "first") == _files(tmp_path / "second")
    assert len(_files(tmp_path / "first")) >= 20
    assert "not empty" in works("pack", "export", tmp_path / "first", status=2)


def test_a_changed_row_is_sent_alone_and_a_wrong_one_changes_nothing(works: Any, tmp_path: Path) -> None:
    """What only a service can tell is told with file and line, too, before anything was changed."""
    folder = tmp_path / "pack"
    (folder / "organisation").mkdir(parents=True)
    people = "- {id: EAST-D, name: 王磊, unit_id: EAST, title: 大区总监, roles: [manager], function: sales, language: zh-CN}\n"
    (folder / "organisation/people.yaml").write_text(people)
    (folder / "approvals.policies.yaml").write_text(
        "policies:\n- name: any\n  title: x\n  kinds: [quote]\n  explanation: x\n  condition: amount >\n"
    )
    [wrong] = works.lines("pack", "diff", folder, status=1)
    assert (wrong["file"], wrong["line"], wrong["where"]) == ("approvals.policies.yaml", 6, "policies.0.condition")
    assert works.lines("pack", "apply", folder, status=1) == [wrong]
    (folder / "approvals.policies.yaml").unlink()
    said = works.json("pack", "diff", folder)
    assert said["changes"][0]["fields"] == [{"path": "name", "before": '"华东大区总监"', "after": '"王磊"'}]
    assert (said["new"], said["changed"]) == (0, 1)
    with (folder / "organisation/people.yaml").open("a") as file:
        file.write("- {id: EAST-X, name: 将来的人, unit_id: EAST, roles: [rep], hire_date: 2999-01-01}\n")
        file.write("- {id: NOBODY, name: 无处, unit_id: NOWHERE}\n")
    [wrong] = works.lines("pack", "diff", folder, status=1)
    assert (wrong["line"], wrong["problem"]) == (3, "there is no unit NOWHERE")
    (folder / "organisation/people.yaml").write_text(
        "".join((folder / "organisation/people.yaml").read_text().splitlines(True)[:2])
    )
    assert works.json("pack", "apply", folder)["new"] == 1
    # Who comes later is known already: nothing is left to do.
    assert works.json("pack", "diff", folder)["changes"] == []


@pytest.mark.mission("U14")
def test_own_fields_come_in_are_found_and_go_out(works: Any, tmp_path: Path) -> None:
    """Of the company that the industrial pack has set up: typed, refused by the row, sought, and exported."""
    table = tmp_path / "accounts.csv"
    table.write_text(
        "provenance.source_id,name,industry,owner_id,工厂数量,custom_fields.automation_level,有防爆要求,下次审厂日\n"
        "1,东海精密,machinery,EAST-SH-1-R1,3,产线自动,是,2026-03-01\n"
        "2,江南化工,chemical,EAST-SH-2-R1,12,手工,否,2026-09-01\n"
        "3,北方重工,machinery,NORTH-BJ-1-R1,三座,手工,,\n"
        "4,西部能源,energy,SOUTH-CW-1-R1,1,全自动,,\n"
        "5,'=无字段公司,machinery,EAST-SH-1-R1,,,,\n"
    )
    refused = tmp_path / "refused.csv"
    said = works.json("import", "accounts", table, "--errors", refused, status=1)
    assert {name: said["kinds"]["accounts"][name] for name in ("read", "created", "rejected")} == {
        "read": 5,
        "created": 3,
        "rejected": 2,
    }
    told = refused.read_text()
    assert "工厂数量" in told
    assert "automation_level is none of 手工, 单机自动, 产线自动, 数字化工厂" in told

    def found(*conditions: str) -> list[str]:
        options = [part for condition in conditions for part in ("--field", condition)]
        return [account["profile"]["name"] for account in works.lines("accounts", "list", *options)]

    assert found("automation_level=产线自动") == ["东海精密"]
    assert found("工厂数量>=4") == ["江南化工"]
    assert found("plant_count<=3", "有防爆要求=是") == ["东海精密"]
    assert found("下次审厂日>=2026-02-01", "下次审厂日<=2026-03-31") == ["东海精密"]
    assert "is declared number" in works("accounts", "list", "--field", "工厂数量=三", status=2)
    assert "no condition" in works("accounts", "list", "--field", "工厂数量", status=2)
    assert "none of 手工" in works("accounts", "list", "--field", "automation_level=全自动", status=1)

    for file in (tmp_path / "out.csv", tmp_path / "out.jsonl"):
        assert "3 records" in works("export", "accounts", file, "--source", "spreadsheet")
        again = works.json("import", "accounts", file)["kinds"]["accounts"]
        assert (again["read"], again["unchanged"]) == (3, 3)
    # What somebody called himself is no formula of ours.
    assert ",'=无字段公司," in (tmp_path / "out.csv").read_text()
    assert "=无字段公司" in found()
    heading = (tmp_path / "out.csv").read_text().splitlines()[0]
    assert "custom_fields.plant_count" in heading
    assert "custom_fields.supplier_code" in heading


@pytest.mark.mission("U14")
def test_deals_carry_own_fields_through_files_too(works: Any, tmp_path: Path) -> None:
    table = tmp_path / "deals.csv"
    table.write_text(
        "provenance.source_id,name,owner,stage,value,交付方式,技术协议已签,yearly_volume\n"
        "d1,一号产线,EAST-SH-1-R1,推进中,2680000 CNY,整线总包,是,120\n"
        "d2,备件,EAST-SH-1-R1,推进中,36000 CNY,标准机,否,\n"
        "d3,改造,EAST-SH-1-R1,推进中,1 CNY,半线,,\n"
    )
    said = works.json("import", "opportunities", table, status=1)["kinds"]["opportunities"]
    assert (said["created"], said["rejected"]) == (2, 1)
    listed = works.lines("opportunities", "list", "--field", "交付方式=整线总包", "--field", "yearly_volume>=100")
    assert [deal["name"] for deal in listed] == ["一号产线"]
    assert "yearly_volume: 120" in works("opportunities", "show", listed[0]["id"])
    works("export", "opportunities", tmp_path / "out.csv", "--source", "spreadsheet")
    # The stage is now called by its key: other words, the same deal.
    works("import", "opportunities", tmp_path / "out.csv")
    works("export", "opportunities", tmp_path / "out.jsonl", "--source", "spreadsheet")
    for file in (tmp_path / "out.csv", tmp_path / "out.jsonl"):
        again = works.json("import", "opportunities", file)["kinds"]["opportunities"]
        assert (again["read"], again["unchanged"]) == (2, 2)
    after = works.lines("opportunities", "list", "--field", "yearly_volume>=100")
    assert [(deal["name"], deal["customFields"]) for deal in after] == [("一号产线", listed[0]["customFields"])]


@pytest.mark.mission("U14")
def test_logs_carry_own_fields_through_files_and_quotes_and_contracts_go_out(
    works: Any, industry: Company, tmp_path: Path
) -> None:
    table = tmp_path / "logs.csv"
    table.write_text(
        "provenance.source_id,kind,owner,subject,start_time,content,position.latitude,position.longitude,现场时长（小时）\n"
        "v1,visit,EAST-SH-1-R1,首访,2026-01-12T09:30:00+08:00,看了二号线，换线要四十分钟,31.2,121.5,2.5\n"
        "v2,call,EAST-SH-1-R1,回访,2026-01-13T10:00:00+08:00,确认试样时间,,,0.5\n"
        "v3,call,EAST-SH-1-R1,回访,2026-01-14T10:00:00+08:00,确认试样结果,,,半天\n"
        "v4,call,EAST-SH-1-R1,回访,昨天,确认试样结果,,,\n"
    )
    said = works.json("import", "activities", table, status=1)["kinds"]["activities"]
    assert (said["created"], said["rejected"]) == (2, 2)
    for file in (tmp_path / "out.csv", tmp_path / "out.jsonl"):
        assert "2 records" in works("export", "activities", file, "--source", "spreadsheet")
        again = works.json("import", "activities", file)["kinds"]["activities"]
        assert (again["read"], again["unchanged"]) == (2, 2)
    works("export", "activities", tmp_path / "long.jsonl", "--field", "现场时长（小时）>=1")
    [long] = [json.loads(line) for line in (tmp_path / "long.jsonl").read_text().splitlines()]
    assert (long["subject"], long["custom_fields"]) == ("首访", {"onsite_hours": 2.5})
    assert "is declared number" in works("export", "activities", table, "--field", "onsite_hours=半天", status=2)

    [deal] = works.lines("opportunities", "list", "--field", "yearly_volume>=100")
    fields = {"payment_terms": "30-60-10", "warranty_months": 24}
    asked = quotes_pb2.CreateQuoteRequest(request_id=new_id(), opportunity_id=deal["id"])
    asked.custom_fields.update(fields)
    environment = industry.environment("EAST-SH-1-R1", "rep")
    with grpc.insecure_channel(json.loads(environment["CLOSEDLOOP_PEERS"])["funnel"]) as channel:
        bearing = (("authorization", f"Bearer {environment['CLOSEDLOOP_TOKEN']}"),)
        quotes_pb2_grpc.QuoteServiceStub(channel).CreateQuote(asked, metadata=bearing)
    assert "1 records" in works("export", "quotes", tmp_path / "quotes.csv", "--field", "质保期（月）>=24")
    heading, row = (tmp_path / "quotes.csv").read_text().splitlines()
    told = dict(zip(heading.split(","), row.split(","), strict=True))
    assert (told["custom_fields.payment_terms"], told["custom_fields.warranty_months"]) == ("30-60-10", "24")
    assert "0 records" in works("export", "quotes", tmp_path / "none.csv", "--field", "payment_terms=款到发货")
    assert "none of 30-60-10" in works(
        "export", "quotes", tmp_path / "x.csv", "--field", "payment_terms=赊账", status=1
    )
    assert "0 records" in works("export", "contracts", tmp_path / "contracts.jsonl", "--field", "属框架协议=是")


def _files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.yaml")}
