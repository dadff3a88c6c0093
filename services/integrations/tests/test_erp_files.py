"""Exchange files of the ERP: voucher text, tables, and files that are something else."""

from __future__ import annotations

import io
import zipfile
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from closedloop.integrations.v1 import erp_pb2 as pb
from closedloop.integrations.v1 import sources_pb2
from closedloop.integrations.v1.erp_pb2_grpc import ErpServiceStub
from closedloop.integrations.v1.sources_pb2_grpc import SourceServiceStub
from closedloop_chassis import errors, protos
from closedloop_devstack.simulators import vouchers
from closedloop_devstack.testing.service import Live
from closedloop_integrations import spreadsheets
from closedloop_integrations.file_limits import FileRules

FILES = FileRules(most_unpacked_bytes=1_000_000)
SHEET = "xl/worksheets/sheet1.xml"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def book(*rows: list[str], **parts: str) -> bytes:
    """A workbook of one sheet with the least of parts there can be."""
    cell = '<c t="inlineStr"><is><t>{}</t></is></c>'
    cells = "".join(f"<row>{''.join(map(cell.format, row))}</row>" for row in rows)
    types = '<Default Extension="xml" ContentType="application/xml"/>'
    kept = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">{types}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" Type="{OFFICE}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets>'
        "</workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" '
        f'Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        SHEET: f'<worksheet xmlns="{MAIN}"><sheetData>{cells}</sheetData></worksheet>',
        **parts,
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in kept.items():
            archive.writestr(name, text)
    return packed.getvalue()


def sheet(cells: str, prefix: str = "") -> bytes:
    return book(["a"], **{SHEET: f'{prefix}<worksheet xmlns="{MAIN}"><sheetData>{cells}</sheetData></worksheet>'})


CORNERS = '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (sheet(CORNERS), "FILE_TOO_LARGE"),
        (sheet(CORNERS.replace("<c r", "<c s='1' r").replace("XFD", "xfd")), "FILE_TOO_LARGE"),
        (sheet('<row r="1048576"><c><v>1</v></c></row><row r="1"><c r="XFD1"><v>1</v></c></row>'), "FILE_TOO_LARGE"),
        (sheet("<row/>" * 2000 + "<row>" + "<c/>" * 2000 + "<c><v>1</v></c></row>"), "FILE_TOO_LARGE"),
        (sheet('<row r="9"><c r="AAAA99999999"><v>1</v></c></row>'), "FILE_NOT_RECOGNISED"),
        (sheet('<row r="-1"><c><v>1</v></c></row>'), "FILE_NOT_RECOGNISED"),
        (sheet(CORNERS, prefix="no XML"), "FILE_NOT_RECOGNISED"),
        (b"%PDF-1.7", "FILE_NOT_RECOGNISED"),
        (b"PK\x03\x04 and no archive", "FILE_NOT_RECOGNISED"),
        (book(["a"])[:-30], "FILE_NOT_RECOGNISED"),
        (book(["a"], big="0" * 50_000_000), "FILE_UNSAFE"),
        (book(["a"], **{"x.xml": '<!doctype a [<!ENTITY x "y">]><a>&x;</a>'}), "FILE_UNSAFE"),
        (book(["a"], **{f"part{number}": "" for number in range(500)}), "FILE_UNSAFE"),
        (book(["a"]).replace(b"sheet1.xml", b"sheet2.xml"), "FILE_NOT_RECOGNISED"),
    ],
)
def test_what_is_no_honest_workbook_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        spreadsheets.workbook(content, FILES)
    assert refused.value.reason == reason


def test_tables_are_read_in_either_charset_and_not_without_end() -> None:
    # Looks given to cells far away are no cells.
    far = sheet('<row r="2"><c r="B2"><v>1</v></c></row><row r="1048576"><c r="XFD1048576" s="1"/></row>')
    assert spreadsheets.workbook(far, FILES) == [["", ""], ["", 1.0]]
    assert spreadsheets.workbook(book(["单据号", "日期"], ["A", "B"]), FILES) == [["单据号", "日期"], ["A", "B"]]
    for charset in ("utf-8", "utf-8-sig", "gb18030"):
        assert spreadsheets.table('客户,"一,二"\r\n'.encode(charset), FILES) == [["客户", "一,二"]]
    for content, reason in (
        (b"a\n" * 5, "FILE_TOO_LARGE"),
        (b'"a', "FILE_NOT_RECOGNISED"),
        (b"\xff\xff\0", "FILE_NOT_RECOGNISED"),
    ):
        with pytest.raises(errors.InvalidArgument) as refused:
            spreadsheets.table(content, FileRules(most_lines=4))
        assert refused.value.reason == reason


def entry(number: int, account: str, debit: str = "0", credit: str = "0") -> vouchers.Entry:
    return vouchers.Entry(
        date(2026, 1, 5), number, "销售", account, Decimal(debit), Decimal(credit), department="east", customer="C001"
    )


@pytest.mark.mission("S71")
async def test_vouchers_and_tables_come_in_once_and_what_is_broken_waits(company: Live) -> None:
    stub = company.stub(ErpServiceStub, "ops", "operations")

    async def bring(content: bytes, kind: Any = pb.TRANSACTION_KIND_UNSPECIFIED, *, dry: bool = False) -> Any:
        return await stub.ImportErpFile(
            pb.ImportErpFileRequest(
                request_id=str(uuid4()), file_name="01.txt", content=content, source="erp", kind=kind, validate_only=dry
            )
        )

    good = [entry(1, "1122", debit="113.00"), entry(1, "6001", credit="100.00"), entry(1, "22210105", credit="13.00")]
    uneven = [entry(2, "1122", debit="5.00"), entry(2, "6001", credit="4.99")]
    text = vouchers.render([*good, *uneven]) + b"2026-01-05,\xbc\xc7,3\r\n"
    tried = await bring(text, dry=True)
    assert (tried.summary.created, tried.quarantined) == (1, 0)
    assert not (await stub.ListTransactions(pb.ListTransactionsRequest())).transactions
    done = await bring(text)
    assert (done.summary.read, done.summary.created, done.lines_read, done.quarantined) == (3, 1, 6, 2)
    assert {error.reason for error in done.summary.errors} == {"UNBALANCED_VOUCHER", "DOCUMENT_UNREADABLE"}
    assert (protos.minor_units(done.total_debit), protos.minor_units(done.total_credit)) == (11_800, 11_799)
    [kept] = (await stub.ListTransactions(pb.ListTransactionsRequest(kinds=[pb.TRANSACTION_KIND_VOUCHER]))).transactions
    assert (kept.number, kept.unit_id, kept.voucher.entries[0].dimensions["customer"]) == ("记-1", "east", "C001")
    assert (await bring(text)).summary.unchanged == 1
    operations = company.stub(SourceServiceStub, "ops", "operations")
    items = (await operations.ListQuarantine(sources_pb2.ListQuarantineRequest(source="erp"))).items
    [waiting] = [item for item in items if item.reason == "UNBALANCED_VOUCHER"]
    mended = sources_pb2.QuarantineResolution(id=waiting.id, mended=waiting.raw.replace("4.99", "5.00"))
    resolved = await operations.ResolveQuarantine(
        sources_pb2.ResolveQuarantineRequest(request_id=str(uuid4()), rows=[mended])
    )
    assert (resolved.updated, len(items)) == (1, 2)

    header = ["单据号", "日期", "客户编码", "存货编码", "数量", "无税金额", "税额", "成本", "备注"]
    lines = [
        ["SI7", "2026-01-06", "C001", "B86", "2", "200.00", "26.00", "120.00", "?"],
        ["SI7", "2026-01-06", "C001", "PEN", "1", "10.50", "0", "5.25", ""],
        ["SI8", "2026-01-06", "C001", "B86", "viele", "1.00", "0", "", ""],
    ]
    sheet = await bring(book(header, *lines), pb.TRANSACTION_KIND_INVOICE)
    assert (sheet.summary.created, sheet.quarantined, sheet.lines_read) == (1, 1, 3)
    comma = "\n".join(",".join(row) for row in (header, *lines[:2])).encode("gb18030")
    assert (await bring(comma, pb.TRANSACTION_KIND_INVOICE)).summary.unchanged == 1
    [invoice] = (await stub.ListTransactions(pb.ListTransactionsRequest(number="SI7"))).transactions
    assert [(line.product_code, protos.minor_units(line.cost_amount)) for line in invoice.invoice.lines] == [
        ("B86", 12_000),
        ("PEN", 525),
    ]
    costs = "单据号,日期,费用编码,金额,销售订单号\nEX1,2026-01-06,660101,7.50,SO1\n".encode()
    assert (await bring(costs, pb.TRANSACTION_KIND_COST)).summary.created == 1
    stock = "存货编码,仓库编码,数量,金额,日期\nB86,01,3,99.00,2026-01-05\n".encode()
    assert (await bring(stock, pb.TRANSACTION_KIND_STOCK_BALANCE)).summary.created == 1

    for content, kind in ((comma, 0), (b"a,b\n1,2\n", pb.TRANSACTION_KIND_COST), (b"\0\0", pb.TRANSACTION_KIND_COST)):
        with company.refused("INVALID_ARGUMENT", "FILE_NOT_RECOGNISED"):
            await bring(content, kind)
    with company.refused("INVALID_ARGUMENT", "FILE_UNSAFE"):
        await bring(book(header, bomb="0" * 50_000_000), pb.TRANSACTION_KIND_INVOICE)
