"""What the simulated ERP keeps: the documents as they are entered, their records as they are served, the vouchers
they become.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from closedloop_devstack.simulators import vouchers

FEN = Decimal("0.01")
MILLIARD = Decimal(10**9)
RECEIVABLE, REVENUE, OUTPUT_TAX = "1122", "6001", "22210105"

Record = dict[str, Any]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SaleLine(_Strict):
    """`itaxunitprice` in yuan with tax, `itaxrate` in percent, `iunitcost` in yuan: cost of sales carried over."""

    cinvcode: str
    cinvname: str = ""
    iquantity: Decimal = Field(gt=0, lt=MILLIARD)
    itaxunitprice: Decimal = Field(ge=0, lt=MILLIARD)
    itaxrate: Decimal = Field(default=Decimal(13), ge=0, le=100)
    iunitcost: Decimal = Field(default=Decimal(0), ge=0, lt=MILLIARD)

    def record(self, row: int, sign: int) -> Record:
        total = _fen(self.iquantity * self.itaxunitprice)
        net = _fen(total / (1 + self.itaxrate / 100))
        return {
            "irowno": str(row),
            "cinvcode": self.cinvcode,
            "cinvname": self.cinvname,
            "iquantity": f"{sign * self.iquantity:.6f}",
            "itaxunitprice": f"{self.itaxunitprice:.6f}",
            "itaxrate": f"{self.itaxrate:.2f}",
            "imoney": f"{sign * net:.2f}",
            "itax": f"{sign * (total - net):.2f}",
            "isum": f"{sign * total:.2f}",
        } | ({"icost": f"{sign * _fen(self.iquantity * self.iunitcost):.2f}"} if self.iunitcost else {})


class SaleDocument(_Strict):
    """An order, invoice or return. Quantities are positive, for returns too. Without `ccode` the ERP numbers it."""

    ccuscode: str
    ccusname: str = ""
    entry: tuple[SaleLine, ...] = Field(min_length=1)
    ccode: str = ""
    csocode: str = ""
    ddate: date | None = None
    cpersoncode: str = ""
    cdepcode: str = ""
    cstcode: str = ""
    cstname: str = ""
    iyperiod: str = Field(default="", pattern=r"^(\d{6})?$")
    verified: bool = True

    @property
    def key(self) -> str:
        return self.ccode

    def record(self, code: str, now: datetime, sign: int) -> Record:
        entry = [line.record(row, sign) for row, line in enumerate(self.entry, 1)]
        total = sum((Decimal(line["isum"]) for line in entry), Decimal(0))
        return (
            self.model_dump(exclude={"verified", "entry"})
            | _head(code, self.ddate, now, self.iyperiod)
            | {
                "dverifydate": _instant(now) if self.verified else "",
                "cexch_name": "人民币",
                "isum": f"{total:.2f}",
                "entry": entry,
            }
        )


class CostEntry(_Strict):
    """A cost booked on an order, a customer, a product or a department; `imoney` in yuan."""

    ccostcode: str
    imoney: Decimal = Field(gt=-MILLIARD, lt=MILLIARD)
    ccostname: str = ""
    ccode: str = ""
    ddate: date | None = None
    csocode: str = ""
    ccuscode: str = ""
    cinvcode: str = ""
    cdepcode: str = ""
    cpersoncode: str = ""
    cstcode: str = ""
    cstname: str = ""
    iyperiod: str = Field(default="", pattern=r"^(\d{6})?$")

    @property
    def key(self) -> str:
        return self.ccode

    def record(self, code: str, now: datetime, _: int) -> Record:
        return self.model_dump() | _head(code, self.ddate, now, self.iyperiod) | {"imoney": f"{self.imoney:.2f}"}


class StockRow(_Strict):
    """What a warehouse holds of an inventory; `iunitcost` in yuan."""

    cinvcode: str
    iquantity: Decimal = Field(ge=0, lt=MILLIARD)
    iunitcost: Decimal = Field(ge=0, lt=MILLIARD)
    cinvname: str = ""
    cwhcode: str = "01"

    @property
    def key(self) -> str:
        return f"{self.cwhcode}/{self.cinvcode}"

    def record(self, _code: str, now: datetime, _: int) -> Record:
        return self.model_dump() | {
            "iquantity": f"{self.iquantity:.6f}",
            "iunitcost": f"{self.iunitcost:.6f}",
            "imoney": f"{_fen(self.iquantity * self.iunitcost):.2f}",
            "dmodifysystime": _instant(now),
        }


LISTS: dict[str, type[SaleDocument | CostEntry | StockRow]] = {
    "saleorder": SaleDocument,
    "saleinvoice": SaleDocument,
    "salereturn": SaleDocument,
    "cost": CostEntry,
    "currentstock": StockRow,
}


def booked(invoice: Record, number: int) -> list[vouchers.Entry]:
    """The voucher of an invoice record: receivable with tax against revenue and output tax."""
    net = sum((Decimal(line["imoney"]) for line in invoice["entry"]), Decimal(0))
    tax = sum((Decimal(line["itax"]) for line in invoice["entry"]), Decimal(0))

    def entry(account: str, debit: Decimal, credit: Decimal, customer: str = "") -> vouchers.Entry:
        return vouchers.Entry(
            day=date.fromisoformat(invoice["ddate"]),
            number=number,
            summary=f"销售 {invoice['ccusname']} {invoice['ccode']}",
            account=account,
            debit=debit,
            credit=credit,
            document=invoice["ccode"],
            department=invoice["cdepcode"],
            person=invoice["cpersoncode"],
            customer=customer,
        )

    nothing = Decimal(0)
    entries = [entry(RECEIVABLE, net + tax, nothing, invoice["ccuscode"]), entry(REVENUE, nothing, net)]
    # A tax-free invoice has no tax line: an entry without an amount is refused by the ledger.
    return entries + ([entry(OUTPUT_TAX, nothing, tax)] if tax else [])


def _fen(amount: Decimal) -> Decimal:
    return amount.quantize(FEN, ROUND_HALF_UP)


def _instant(now: datetime) -> str:
    return f"{now:%Y-%m-%d %H:%M:%S}"


def _head(code: str, day: date | None, now: datetime, period: str) -> Record:
    on = day or now.date()
    return {
        "ccode": code,
        "ddate": f"{on:%Y-%m-%d}",
        "iyperiod": period or f"{on:%Y%m}",
        "dmodifysystime": _instant(now),
    }
