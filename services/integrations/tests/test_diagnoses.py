"""A foreign data set diagnosed: what is wrong with it is found without being told where to look (S83, S79)."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from closedloop.common.v1 import common_pb2
from closedloop.integrations.v1 import diagnoses_pb2 as pb
from closedloop.integrations.v1.diagnoses_pb2_grpc import DiagnosisServiceStub
from closedloop_chassis import errors
from closedloop_devstack.testing.service import Live
from closedloop_integrations.diagnoses.diagnose import diagnose
from closedloop_integrations.diagnoses.rules import DiagnosisRules

RULES = DiagnosisRules()


def asked(**tables: str | bytes) -> pb.DiagnoseDatasetRequest:
    return pb.DiagnoseDatasetRequest(
        tables=[
            pb.Dataset(table=f"{name}.csv", content=text if isinstance(text, bytes) else text.encode())
            for name, text in tables.items()
        ]
    )


def found(diagnosis: pb.Diagnosis, kind: str) -> dict[tuple[str, str], Any]:
    return {(each.record_type, each.field): each for each in diagnosis.findings if each.kind == kind}


@pytest.mark.mission("S83", "S79")
async def test_the_faults_of_a_real_export_are_found_unaided(company: Live, data_folder: Path) -> None:
    folder = data_folder / "crm"
    tables = [pb.Dataset(table=file.name, content=file.read_bytes()) for file in sorted(folder.glob("*.csv"))]
    stub = company.stub(DiagnosisServiceStub, "m1", "manager")
    diagnosis = await stub.DiagnoseDataset(pb.DiagnoseDatasetRequest(tables=tables))
    missing = found(diagnosis, "missing_reference")["sales_pipeline.csv", "account"]
    assert (missing.count, missing.examined, missing.light) == (1425, 8800, common_pb2.LIGHT_RED)
    alias = found(diagnosis, "alias")["sales_pipeline.csv", "product"]
    assert (alias.count, list(alias.examples)) == (1480, ["GTXPro → GTX Pro (1,480)"])
    sector = found(diagnosis, "misspelling")["accounts.csv", "sector"]
    assert (sector.count, list(sector.examples)) == (12, ["technolgy → technology (12)"])
    idle = found(diagnosis, "idle_owner")["sales_teams.csv", "sales_agent"]
    assert (idle.count, idle.examined, len(idle.examples)) == (5, 35, 5)
    undated = found(diagnosis, "missing_field")["sales_pipeline.csv", "close_date"]
    assert (undated.count, undated.text.endswith("all whose deal_stage is Engaging or Prospecting.")) == (2089, True)
    assert found(diagnosis, "missing_field")["sales_pipeline.csv", "engage_date"].count == 500
    assert found(diagnosis, "missing_field")["sales_pipeline.csv", "close_value"].count == 2089
    assert all(each.text and each.suggestion for each in diagnosis.findings)
    assert 0 < diagnosis.score < 100
    assert diagnosis.elapsed.ToTimedelta().total_seconds() < 60
    types = {table.table: (table.record_type, table.rows) for table in diagnosis.tables}
    assert types["sales_pipeline.csv"] == ("opportunities", 8800)
    assert types["sales_teams.csv"] == ("people", 35)
    ways = {(way.from_table, way.from_column, way.to_table) for way in diagnosis.references}
    assert ("sales_pipeline.csv", "account", "accounts.csv") in ways


PEOPLE = "员工,部门\n" + "".join(f"销售{number},华东\n" for number in range(10))
DEALS = "商机编号,员工,开始,结束,状态\n" + "".join(
    f"D{number},销售{number % 9},2026-0{1 + number % 3}-10,{'2026-06-01,关闭' if number % 2 else ',打开'}\n"
    for number in range(40)
)


def test_chinese_tables_in_any_encoding_plain_or_packed() -> None:
    plain = diagnose(asked(员工=PEOPLE, 商机=DEALS), RULES)
    packed = diagnose(asked(员工=PEOPLE.encode("gb18030"), 商机=gzip.compress(DEALS.encode("utf-16"))), RULES)
    assert [table.encoding for table in packed.tables] == ["gb18030", "utf-16"]
    assert packed.findings == plain.findings
    assert found(plain, "idle_owner")["员工.csv", "员工"].examples == ["销售9"]
    assert found(plain, "missing_field")["商机.csv", "结束"].count == 20


def test_clean_tables_have_no_findings_and_full_marks() -> None:
    people = "id;name\n" + "".join(f"p{number};Name {number}\n" for number in range(10))
    deals = "deal_id;owner\n" + "".join(f"d{number};p{number % 10}\n" for number in range(50))
    diagnosis = diagnose(asked(people=people, deals=deals), RULES)
    assert (list(diagnosis.findings), diagnosis.score) == ([], 100)
    [way] = diagnosis.references
    assert (way.from_column, way.to_table, way.found_ratio) == ("owner", "people.csv", 1)


def test_copies_twins_and_days_in_the_wrong_order() -> None:
    rows = [f"d{number},2026-01-{1 + number % 20:02d},2026-02-{1 + number % 20:02d}" for number in range(60)]
    rows += ["d1,2026-01-02,2026-02-02", "D-7,2026-03-09,2026-02-01"]
    diagnosis = diagnose(asked(deals="deal_id,begin,end\n" + "\n".join(rows)), RULES)
    copies = found(diagnosis, "duplicate")
    assert (copies["deals.csv", ""].count, copies["deals.csv", "deal_id"].count) == (1, 2)
    assert found(diagnosis, "deviation")["deals.csv", "end"].examples == ["D-7"]


def test_an_open_quote_swallows_no_rows_and_is_told_by_its_line() -> None:
    def text(**strays: str) -> str:
        lines = [f"d{number},n{number},{number}" for number in range(300)]
        for place, line in strays.items():
            lines[int(place[1:])] = line
        return "id,name,value\n" + "\n".join(lines) + "\n"

    for content, lost, first in (
        (text(_50='d50,"bad,50'), 249, 52),
        # Closed by the next one, before the end, or by an honest quote.
        (text(_50='d50,"bad,50', _80='d80,"worse,80'), 249, 52),
        (text(_50='d50,"bad,50', _80='d80,good",80'), 30, 52),
        (text(_50='d50,"bad,50', _80='d80,"Foo, Inc",80'), 30, 52),
        ("id,name\n" + "".join(f'd{number},"x{number}\n' for number in range(21)), 20, 2),
    ):
        diagnosis = diagnose(asked(deals=content), RULES)
        [table] = diagnosis.tables
        assert table.rows == content.count("\n") - 1
        assert [(one.name, one.fill_ratio) for one in table.columns] == [
            (name, 1) for name in content.partition("\n")[0].split(",")
        ]
        broken = found(diagnosis, "broken_row")["deals.csv", ""]
        assert (broken.count, broken.examined) == (lost, table.rows)
        assert f"open quote at line {first}" in broken.text
        assert broken.examples[0].startswith(f"line {first}: d")
        assert diagnosis.score < 100
    # Texts of several lines, with quotes and delimiters in them, are one cell; what has no heading is not lost in silence.
    notes = "".join(f'd{number},"Dear, all\nsee ""x"", y\n\nbye",{number}\n' for number in range(30))
    assert not found(diagnose(asked(deals="id,note,value\n" + notes), RULES), "broken_row")
    wide = diagnose(asked(deals="id,name\nd1,Foo\nd2,Foo, Inc\nd3,Bar,\n"), RULES)
    assert found(wide, "broken_row")["deals.csv", ""].examples == ["line 3"]


RIGHT = [
    "organisation",
    "colour",
    "favour",
    "centre",
    "labour",
    "behaviour",
    "jewellery",
    "aluminium",
    "programme",
    "specialised",
    "defence",
    "analyse",
    "travelling",
    "catalogue",
    "technologie",
    "Globex",
    "Ningbo",
    "Shenzhen",
    "Technologie",
]
WRONG = {"technolgy": "technology", "Philipines": "Philippines", "retial": "retail", "telecommunictions": "telecommunications",
         "insuranse": "insurance", "softwar": "software", "medcal": "medical"}  # fmt: skip


def test_what_is_written_otherwise_is_not_misspelled() -> None:
    rows = "".join(f"a{number},{word}\n" for number, word in enumerate(sorted([*RIGHT, *WRONG] * 4)))
    claims = found(diagnose(asked(accounts="account_id,sector\n" + rows), RULES), "misspelling")[
        "accounts.csv", "sector"
    ]
    assert dict(each.rpartition(" (")[0].split(" → ") for each in claims.examples) == WRONG


def test_a_day_that_no_calendar_has_is_found_and_hides_no_other() -> None:
    days = ["2026-02-30" if number % 20 == 0 else f"2026-01-{1 + number % 28:02d}" for number in range(200)]
    diagnosis = diagnose(
        asked(deals="id,close_date\n" + "".join(f"d{number},{day}\n" for number, day in enumerate(days))), RULES
    )
    assert diagnosis.tables[0].columns[1].type == "date"
    impossible = found(diagnosis, "impossible_date")["deals.csv", "close_date"]
    assert (impossible.count, impossible.examined, list(impossible.examples)) == (10, 200, ["2026-02-30 (10)"])
    # Numbers of orders that read like days are none, nor is a column that says "soon".
    orders = "".join(f"{20160101 + number},{'soon' if number % 20 == 0 else '2026-01-05'}\n" for number in range(33))
    other = diagnose(asked(orders="order,due\n" + orders), RULES)
    assert not found(other, "impossible_date")
    assert "date" not in {column.type for column in other.tables[0].columns}


def test_numbers_point_only_where_their_title_says_so() -> None:
    people = "person_id,name\n" + "".join(f"{number},n{number}\n" for number in range(1, 40))
    deals = "deal,quantity,person_id\n" + "".join(f"d{n},{1 + n % 9},{1 + n % 39}\n" for n in range(80))
    ways = diagnose(asked(people=people, deals=deals), RULES).references
    assert [(way.from_column, way.to_column) for way in ways] == [("person_id", "person_id")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"only,a,heading\n", "NO_DATA"),
        (gzip.compress(b"a,b\n" * 10)[:-6], "FILE_NOT_RECOGNISED"),
        (gzip.compress(b"0" * 3_000_000, 9), "FILE_UNSAFE"),
        (b"\x1f\x8bnone", "FILE_NOT_RECOGNISED"),
        (b"\xff\xfea", "FILE_NOT_RECOGNISED"),
        (b"PK\x03\x04\0\0", "FILE_NOT_RECOGNISED"),
        (b",".join(b"c" for _ in range(600)) + b"\n1\n", "FILE_TOO_LARGE"),
        (b"a,b\n" + b"1,2\n" * 600, "FILE_TOO_LARGE"),
    ],
    ids=["heading", "cut", "bomb", "no gzip", "half", "zip", "wide", "long"],
)
def test_what_is_no_table_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        diagnose(asked(t=content), DiagnosisRules(most_unpacked_bytes=1_000_000, most_cells=1000))
    assert refused.value.reason == reason


async def test_a_refusal_out_of_the_child_is_a_refusal_of_the_call(company: Live) -> None:
    stub = company.stub(DiagnosisServiceStub, "m1", "manager")
    with company.refused("INVALID_ARGUMENT", "NO_DATA"):
        await stub.DiagnoseDataset(asked(t="a,b\n"))
    with company.refused("PERMISSION_DENIED"):
        await company.stub(DiagnosisServiceStub, "rep1", "rep").DiagnoseDataset(asked(t="a,b\n1,2\n"))
