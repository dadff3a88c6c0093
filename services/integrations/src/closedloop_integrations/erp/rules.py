"""What a transaction must satisfy, and what its codes mean here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Rules, TimeZone
from closedloop_integrations.file_limits import FileRules


class ErpRules(Rules):
    """Which lists are polled, how the ERP's words are read, which months are closed."""

    rulebook: ClassVar[str] = "integrations.erp"

    # What the ERP is called in provenances and mappings.
    source: str = Field(default="erp", min_length=1, max_length=64)
    lists: tuple[str, ...] = ("saleorder", "saleinvoice", "salereturn", "cost", "currentstock")
    rows_per_page: int = Field(default=100, ge=1, le=1000)
    currencies: dict[str, str] = Field(
        default={"人民币": "CNY", "美元": "USD", "欧元": "EUR", "港币": "HKD", "日元": "JPY", "英镑": "GBP"}
    )
    # 本位币: of vouchers and stock, and of documents that name none.
    home_currency: str = Field(default="CNY", pattern="^[A-Z]{3}$")
    # Its clock may be ahead of ours by so much; what was changed later than that was not, and moves no cursor.
    ahead_hours: float = Field(default=24, ge=0, le=8760)
    # Its instants name no zone; they are this one's.
    time_zone: TimeZone = "Asia/Shanghai"
    # Documents nobody has approved yet are drafts, not facts.
    approved_only: bool = True
    # Of documents that name none.
    channel: str = Field(default="direct", max_length=64)
    # The field of a document that names its channel (销售类型), and what it calls it; a mapping says what its code means here.
    channel_field: str = Field(default="cstcode", max_length=64)
    channel_name_field: str = Field(default="cstname", max_length=64)
    # The field that names the month it is booked to (会计期间: "202601", "2026-01"); empty or missing, it is its day's.
    period_field: str = Field(default="iyperiod", max_length=64)
    # Nothing is booked into months up to this one any more.
    closed_until: date | None = None

    # What the columns of a table are called → the field of the open interface they are.
    columns: dict[str, str] = Field(
        default={
            "单据号": "ccode", "日期": "ddate", "客户编码": "ccuscode", "客户名称": "ccusname",
            "部门编码": "cdepcode", "业务员编码": "cpersoncode", "销售订单号": "csocode", "币种": "cexch_name",
            "存货编码": "cinvcode", "存货名称": "cinvname", "数量": "iquantity", "无税金额": "imoney",
            "销售类型编码": "cstcode", "销售类型": "cstname", "会计期间": "iyperiod",
            "税额": "itax", "成本": "icost", "费用编码": "ccostcode", "费用名称": "ccostname", "金额": "imoney",
            "仓库编码": "cwhcode", "number": "ccode", "date": "ddate", "customer_code": "ccuscode",
            "customer_name": "ccusname", "department_code": "cdepcode",
            "channel_code": "cstcode", "channel_name": "cstname", "accounting_month": "iyperiod",
            "person_code": "cpersoncode", "order_number": "csocode", "currency": "cexch_name",
            "product_code": "cinvcode", "product_name": "cinvname", "quantity": "iquantity",
            "net_amount": "imoney", "tax_amount": "itax", "cost_amount": "icost",
            "cost_code": "ccostcode", "cost_name": "ccostname", "amount": "imoney",
            "warehouse_code": "cwhcode",
        }
    )  # fmt: skip
    files: FileRules = FileRules()

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


@dataclass(frozen=True, slots=True)
class Sums:
    """The figures of a document that have to agree; minor units. `currencies` are those of all its amounts."""

    currency: str
    currencies: frozenset[str]
    total: int
    stated: int | None = None
    debit: int | None = None
    credit: int | None = None


def check(sums: Sums, month: date, rules: ErpRules) -> None:
    """Raises InvalidArgument CURRENCY_MIXED, UNBALANCED_VOUCHER, LINES_DO_NOT_SUM, PERIOD_CLOSED."""
    if not sums.currency or sums.currencies - {sums.currency}:
        others = ", ".join(sorted(sums.currencies)) or "none"
        raise errors.InvalidArgument("CURRENCY_MIXED", f"a document in {sums.currency or 'no currency'} holds {others}")
    if sums.debit != sums.credit:
        raise errors.InvalidArgument(
            "UNBALANCED_VOUCHER", f"debits {sums.debit} and credits {sums.credit} differ, in fen"
        )
    if sums.stated is not None and sums.stated != sums.total:
        raise errors.InvalidArgument(
            "LINES_DO_NOT_SUM", f"the lines make {sums.total}, the total says {sums.stated}, in fen"
        )
    check_open(month, rules)


def check_open(month: date, rules: ErpRules) -> None:
    """Raises InvalidArgument PERIOD_CLOSED."""
    closed = rules.closed_until
    if closed is not None and (month.year, month.month) <= (closed.year, closed.month):
        raise errors.InvalidArgument("PERIOD_CLOSED", f"{month:%Y-%m} is closed")


@dataclass(frozen=True, slots=True)
class Codes:
    """How one document names things: the ERP's codes, and ids where it has ours already."""

    source: str
    account_code: str = ""
    account_name_key: str = ""
    account_id: str | None = None
    person_code: str = ""
    person_id: str = ""
    unit_code: str = ""
    unit_id: str = ""
    channel: str = ""
    product_codes: tuple[str, ...] = ()
    product_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    owner_id: str
    unit_id: str


@dataclass(frozen=True, slots=True)
class Book:
    """What codes mean: said by a person, told by customers and targets, or the same by name."""

    # (type, code) → our id, as somebody has set it.
    mapped: Mapping[tuple[str, str], str] = field(default_factory=dict)
    accounts: Mapping[str, Account] = field(default_factory=dict)
    # Codes and names that customers themselves know; several mean that nobody can tell.
    by_code: Mapping[str, Collection[str]] = field(default_factory=dict)
    by_name: Mapping[str, Collection[str]] = field(default_factory=dict)
    products: Mapping[str, str] = field(default_factory=dict)
    # Person → unit.
    people: Mapping[str, str] = field(default_factory=dict)
    # The ERP's name of a person → person.
    handles: Mapping[str, str] = field(default_factory=dict)
    units: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Meaning:
    """The codes of a document as our ids; empty where unknown."""

    account_id: str | None
    person_id: str
    unit_id: str
    channel: str
    product_ids: tuple[str, ...]
    owner_id: str
    unmapped: bool


def read(codes: Codes, book: Book) -> Meaning:
    account_id = codes.account_id or _account(codes, book)
    account = book.accounts.get(account_id or "")
    person_id = codes.person_id or _person(codes.person_code, book)
    unit_id = codes.unit_id or book.mapped.get(("unit", codes.unit_code), "")
    if not unit_id and codes.unit_code in book.units:
        unit_id = codes.unit_code
    known_unit = bool(unit_id) or not codes.unit_code
    products = tuple(
        given or book.mapped.get(("product", code), "") or book.products.get(code, "")
        for code, given in _pairs(codes.product_codes, codes.product_ids)
    )
    return Meaning(
        account_id=account_id,
        person_id=person_id,
        unit_id=unit_id or book.people.get(person_id, "") or (account.unit_id if account else ""),
        channel=book.mapped.get(("channel", codes.channel), "") or codes.channel,
        product_ids=products,
        owner_id=person_id or (account.owner_id if account else ""),
        unmapped=bool(
            (codes.account_code and not account_id)
            or (codes.person_code and not person_id)
            or not known_unit
            or any(code and not product for code, product in zip(codes.product_codes, products, strict=True))
        ),
    )


def _account(codes: Codes, book: Book) -> str | None:
    if mapped := book.mapped.get(("account", codes.account_code)):
        return mapped
    for known in (book.by_code.get(codes.account_code, ()), book.by_name.get(codes.account_name_key, ())):
        if len(known) == 1:
            return next(iter(known))
    return None


def _person(code: str, book: Book) -> str:
    return book.mapped.get(("person", code), "") or book.handles.get(code, "") or (code if code in book.people else "")


def _pairs(codes: Sequence[str], ids: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(codes, [*ids, *[""] * (len(codes) - len(ids))], strict=True))
