"""Tables as people save them: one list of inquiries in UTF-8, in GBK and as an Excel workbook is the same list."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest
import xlsxwriter

from closedloop.customers.v1 import leads_pb2
from closedloop_cli.failures import Usage
from closedloop_cli.loading import contract_rows, tables
from closedloop_cli.loading.ledger import Ledger

HEADING = ("company_name", "contact_name", "phone", "need", "expected_date", "colour")
ROWS = (
    ("上海华东精密有限公司", "王芳", "13800138000", "要报价，两套", "2026-03-01", ""),
    ("联通", "李伟", "02155551234", "尽快", "2026-04-31", ""),
    ("镕基骉骎厂", "张三", "13800138001", "询价", "", "红"),
)
TEXT = "\n".join(",".join(row) for row in (HEADING, *ROWS)) + "\n"


def workbook(path: Path) -> None:
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet("线索")
    sheet.write_row(1, 0, HEADING)  # a sheet may begin with an empty line
    for line, row in enumerate(ROWS, start=2):
        sheet.write_row(line, 0, row)
    # As a spreadsheet has them: a number, and a day.
    sheet.write_number(2, 2, 13800138000)
    sheet.write_datetime(2, 4, datetime(2026, 3, 1), book.add_format({"num_format": "yyyy-mm-dd"}))
    book.add_worksheet("说明").write(0, 0, "第二页没有线索")
    book.close()


def loaded(path: Path) -> tuple[list[leads_pb2.LeadRow], list[tuple[str, str]], list[int]]:
    ledger = Ledger()
    items = list(contract_rows.items(path, "leads", lambda _: leads_pb2.LeadRow(), ledger))
    refused = [(one.column, one.reason) for one in ledger.rejections]
    return [item.message for item in items], refused, [one.row for one in ledger.rejections]


@pytest.mark.mission("U14", "S21")
@pytest.mark.parametrize("name", ["utf8.csv", "bom.csv", "gbk.csv", "gb18030.csv", "leads.xlsx"])
def test_a_list_is_the_same_however_it_was_saved(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "leads.xlsx":
        workbook(path)
    else:
        path.write_bytes(TEXT.encode({"utf8.csv": "utf-8", "bom.csv": "utf-8-sig"}.get(name, name.partition(".")[0])))
    (lead,), refused, rows = loaded(path)
    assert (lead.profile.company_name, lead.profile.phone) == (ROWS[0][0], "13800138000")
    assert lead.profile.expected_date.day == date(2026, 3, 1).day
    assert (lead.provenance.source, len(lead.provenance.source_id)) == ("spreadsheet", 32)
    # Each bad row by its line, whichever program shows it.
    assert refused == [("expected_date", "VALUE_UNREADABLE"), ("colour", "COLUMN_UNKNOWN")]
    assert rows == ([4, 5] if name == "leads.xlsx" else [3, 4])


def test_a_row_is_known_again_whichever_way_it_was_saved(tmp_path: Path) -> None:
    for name, charset in (("a.csv", "utf-8"), ("b.csv", "gb18030")):
        (tmp_path / name).write_bytes(TEXT.encode(charset))
    workbook(tmp_path / "c.xlsx")
    assert len({loaded(tmp_path / name)[0][0].provenance.source_id for name in ("a.csv", "b.csv", "c.xlsx")}) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        # Chinese in UTF-8 with a byte lost is broken, and no other words.
        ("broken.csv", "company_name\n上海华东\n".encode() + b"\xe4\xb8,\n"),
        ("late.csv", TEXT.encode() + b"\xff\xff\n"),
        ("binary.csv", b"\x81\x20\xff\xff"),
        ("broken.jsonl", b'{"profile": {"companyName": "\xff"}}\n'),
        ("text.xlsx", b"company_name\n"),
        ("cut.xlsx", b"PK\x03\x04 and nothing more"),
    ],
)
def test_what_cannot_be_read_is_said_and_nothing_is_guessed(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Usage, match="file_unreadable"):
        loaded(tmp_path / name)


def test_json_lines_may_be_gbk_too(tmp_path: Path) -> None:
    path = tmp_path / "leads.jsonl"
    path.write_bytes('{"profile": {"companyName": "联通"}}\n'.encode("gbk"))
    assert tables.charset(path) == "gb18030"
    assert loaded(path)[0][0].profile.company_name == "联通"
