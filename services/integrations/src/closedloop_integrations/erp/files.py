"""Exchange files of the ERP: the voucher text of U8 (凭证引入), and tables whose columns the rulebook names (S71)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.integrations.v1 import erp_pb2 as pb
from closedloop_chassis import protos
from closedloop_chassis.currency import coins
from closedloop_integrations import spreadsheets
from closedloop_integrations.erp.rules import ErpRules
from closedloop_integrations.erp.u8 import Document, Unreadable

HEADER = "填制凭证,V800"
# 制单日期, 凭证类别字, 业务号, 附单据数, 摘要, 科目编码, 借方金额, 贷方金额, 数量, 外币,
# 汇率, 制单人, 结算方式, 票号, 发生日期, then:
FIELDS = 21
# What the contract lets a voucher be.
LONGEST, LONGEST_TYPE, MOST_ENTRIES, MOST_ATTACHED = 100, 20, 1000, 10_000
DIMENSIONS = {15: "department", 16: "person", 17: "customer", 18: "supplier", 19: "clerk", 20: "project"}
# What rows of a table are, as the lists of the open interface are called.
LISTS = {
    pb.TRANSACTION_KIND_ORDER: "saleorder",
    pb.TRANSACTION_KIND_INVOICE: "saleinvoice",
    pb.TRANSACTION_KIND_CREDIT_NOTE: "salereturn",
    pb.TRANSACTION_KIND_COST: "cost",
    pb.TRANSACTION_KIND_STOCK_BALANCE: "currentstock",
}
LINE = ("irowno", "cinvcode", "cinvname", "iquantity", "imoney", "itax", "icost")


@dataclass(frozen=True, slots=True)
class Voucher:
    """The lines of one voucher, as they stand in the file."""

    lines: list[str] = field(default_factory=list)

    @property
    def raw(self) -> str:
        return "\n".join(self.lines)


def vouchers(text: str, rules: ErpRules) -> list[Voucher]:
    """Lines of the same date, type and number are one voucher. Raises InvalidArgument FILE_NOT_RECOGNISED, FILE_TOO_LARGE."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or lines[0].strip().rstrip(",") != HEADER:
        raise spreadsheets.unknown(f"a voucher file begins with {HEADER}")
    if len(lines) > rules.files.most_lines:
        raise spreadsheets.too_large(f"more than {rules.files.most_lines} lines")
    found: dict[tuple[str, ...], Voucher] = {}
    for line in lines[1:]:
        found.setdefault(tuple(part.strip() for part in line.split(",")[:3]), Voucher()).lines.append(line)
    return list(found.values())


def voucher(lines: Sequence[str], source: str, rules: ErpRules) -> Document:
    """Raises Unreadable; the message says which line of the voucher."""
    entries: list[pb.VoucherEntry] = []
    first: list[str] = []
    currency = rules.home_currency
    for position, line in enumerate(lines, 1):
        fields = [part.strip() for part in line.split(",")]
        if len(fields) < FIELDS:
            raise Unreadable(f"line {position} has {len(fields)} fields, {FIELDS} expected")
        first = first or fields
        entry = pb.VoucherEntry(
            line=position,
            summary=fields[4][:1000],
            ledger_account=fields[5],
            dimensions={name: fields[place][:LONGEST] for place, name in DIMENSIONS.items() if fields[place]},
        )
        if not 0 < len(entry.ledger_account) <= LONGEST:
            raise Unreadable(f"line {position} names no ledger account")
        for name, text in (("debit", fields[6]), ("credit", fields[7])):
            if minor := _minor(text, currency, position):
                getattr(entry, name).CopyFrom(protos.money(minor, currency))
        entries.append(entry)
    if not 0 < len(entries) <= MOST_ENTRIES:
        raise Unreadable(f"a voucher of {len(entries)} lines")
    try:
        day = date.fromisoformat(first[0])
        attachments = int(first[3] or 0)
    except ValueError as error:
        raise Unreadable(str(error)) from error
    if not first[2] or len(first[1]) > LONGEST_TYPE or len(first[2]) > LONGEST_TYPE:
        raise Unreadable("no voucher number")
    if not 0 <= attachments <= MOST_ATTACHED:
        raise Unreadable(f"{attachments} attachments")
    departments = {entry.dimensions["department"] for entry in entries if "department" in entry.dimensions}
    row = pb.Transaction(
        # Numbers begin anew every month, and for each type.
        number=f"{first[1]}-{first[2]}",
        date=protos.date_proto(day),
        currency=currency,
        unit_code=departments.pop() if len(departments) == 1 else "",
        voucher=pb.Voucher(type=first[1], entries=entries, prepared_by=first[11][:64], attachments=attachments),
        provenance=Provenance(source=source, source_id=f"voucher/{day:%Y-%m}/{first[1]}-{first[2]}"),
    )
    return Document(row)


def records(rows: Sequence[Sequence[Any]], list_name: str, rules: ErpRules) -> Iterator[str]:
    """The documents of a table as the open interface would serve them (JSON). Rows of one number are one document.

    Raises InvalidArgument FILE_NOT_RECOGNISED for a header in which no column, or none with the number, is known."""
    names = [rules.columns.get(str(title).strip(), "") for title in rows[0]] if rows else []
    needed = "cinvcode" if list_name == "currentstock" else "ccode"
    if needed not in names:
        raise spreadsheets.unknown(
            f"no column is called {' or '.join(t for t, n in rules.columns.items() if n == needed)}"
        )
    documents: dict[str, dict[str, Any]] = {}
    for position, cells in enumerate(rows[1:], 1):
        row = {
            name: spreadsheets.text(cell)
            for name, cell in zip(names, cells, strict=False)
            if name and spreadsheets.text(cell)
        }
        if not row:
            continue
        if list_name == "currentstock":
            yield json.dumps({"dmodifysystime": row.get("ddate", ""), **row}, ensure_ascii=False)
            continue
        head = {name: value for name, value in row.items() if name not in LINE}
        # A row without a number is a document of its own, which nobody can read.
        kept = documents.setdefault(
            row.get("ccode") or f"\0{position}", {"dmodifysystime": row.get("ddate", ""), **head}
        )
        if list_name == "cost":
            kept.update(row)
        else:
            line = {"irowno": str(len(kept.get("entry", ())) + 1), "itax": "0", **{n: row[n] for n in LINE if n in row}}
            kept.setdefault("entry", []).append(line)
    yield from (json.dumps(document, ensure_ascii=False) for document in documents.values())


def _minor(text: str, currency: str, position: int) -> int:
    try:
        amount = Decimal(text or 0) * coins(currency)
        fine = amount.is_finite() and abs(amount) <= 10**17 and amount == amount.to_integral_value()
    except ArithmeticError as error:
        raise Unreadable(f"line {position}: {text[:40]} is no amount") from error
    if not fine:
        raise Unreadable(f"line {position}: {text[:40]} is no amount of {currency}")
    return int(amount)
