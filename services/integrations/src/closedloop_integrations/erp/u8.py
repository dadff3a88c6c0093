"""Documents of a U8-like ERP, lower-case JSON of texts, read as transactions of the contract."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from google.type.decimal_pb2 import Decimal as DecimalText
from google.type.money_pb2 import Money

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.integrations.v1 import erp_pb2 as pb
from closedloop_chassis import protos
from closedloop_chassis.currency import coins
from closedloop_integrations.erp.rules import ErpRules
from closedloop_integrations.procurement.matching import normalise

# Of a quantity, before the point and behind it.
LARGEST_DIGITS, SMALLEST_DIGITS = 15, 18
# As the ERP prints a month, alone or in a day.
PERIOD = re.compile(r"(\d{4})-?(\d{2})(?:-\d{2})?\Z", re.ASCII)


class Unreadable(ValueError):
    """A document nobody can read; its text says which field."""


@dataclass(frozen=True, slots=True)
class Document:
    """A transaction, and what the ERP calls the things it has codes for."""

    row: pb.Transaction
    account_name_key: str = ""
    # (type, code) → name.
    names: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unapproved:
    """A draft; or what was approved and is no longer (弃审), which who knows its source id knows."""

    source_id: str
    observed_at: datetime


def read(text: str, list_name: str, source: str, rules: ErpRules) -> Document | Unapproved:
    """Raises Unreadable; of a draft nothing but its number and its last change is read."""
    try:
        record = json.loads(text)
        if not isinstance(record, dict):
            raise Unreadable("no JSON object")
        if "\\u0000" in text or "\0" in text:
            raise Unreadable("a text holds NUL")
        if rules.approved_only and "dverifydate" in record and not record["dverifydate"]:
            return Unapproved(f"{list_name}/{_text(record, 'ccode')}", _instant(record, rules))
        return (
            _stock(record, source, rules)
            if list_name == "currentstock"
            else _document(record, list_name, source, rules)
        )
    except KeyError as error:
        raise Unreadable(f"the field {error.args[0]} is missing") from error
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise Unreadable(str(error) or type(error).__name__) from error


def _document(record: dict[str, Any], list_name: str, source: str, rules: ErpRules) -> Document:
    number, day = _text(record, "ccode"), date.fromisoformat(_text(record, "ddate"))
    name = record.get("cexch_name")
    if name and name not in rules.currencies:
        raise Unreadable(f"the currency {name} is not in the rulebook")
    currency = rules.currencies[name] if name else rules.home_currency
    row = pb.Transaction(
        number=number,
        date=protos.date_proto(day),
        currency=currency,
        account_code=record.get("ccuscode", ""),
        unit_code=record.get("cdepcode", ""),
        person_code=record.get("cpersoncode", ""),
        # A cost that names none is its order's.
        channel=_optional(record, rules.channel_field) or (rules.channel if list_name != "cost" else ""),
        order_number=record.get("csocode", "") if list_name != "saleorder" else "",
        provenance=_provenance(record, source, f"{list_name}/{number}", rules),
    )
    if (month := _month(_optional(record, rules.period_field))) and month != day.replace(day=1):
        row.accounting_month.CopyFrom(protos.date_proto(month))
    names = {("account", row.account_code): record.get("ccusname", "")} if row.account_code else {}
    if code := _optional(record, rules.channel_field):
        names[("channel", code)] = _optional(record, rules.channel_name_field)
    if list_name == "cost":
        row.cost.CopyFrom(
            pb.CostEntry(
                cost_code=_text(record, "ccostcode"),
                text=record.get("ccostname", ""),
                amount=_money(record["imoney"], currency),
                product_code=record.get("cinvcode", ""),
            )
        )
        return Document(row, "", names)
    for entry in record["entry"]:
        code = _text(entry, "cinvcode")
        names[("product", code)] = entry.get("cinvname", "")
        values: dict[str, Any] = {
            "line": int(entry["irowno"]),
            "product_code": code,
            "quantity": _quantity(entry["iquantity"]),
            "net_amount": _money(entry["imoney"], currency),
            "tax_amount": _money(entry["itax"], currency),
        }
        if list_name == "saleorder":
            row.order.lines.append(pb.OrderLine(**values))
        else:
            # 结转成本: what the goods stood in the books for; absent until the month's cost is carried over.
            if entry.get("icost"):
                values["cost_amount"] = _money(entry["icost"], currency)
            row.invoice.lines.append(pb.InvoiceLine(**values))
    if list_name == "salereturn":
        row.invoice.credit_note = True
    if not record["entry"]:
        raise Unreadable("a document without lines")
    return Document(row, normalise(record.get("ccusname", "")), names)


def _stock(record: dict[str, Any], source: str, rules: ErpRules) -> Document:
    code, warehouse = _text(record, "cinvcode"), _text(record, "cwhcode")
    currency = rules.home_currency
    day = _instant(record, rules).date()
    row = pb.Transaction(
        number=f"{warehouse}/{code}",
        date=protos.date_proto(day),
        currency=currency,
        # One balance a day: the last one that was seen.
        provenance=_provenance(record, source, f"currentstock/{warehouse}/{code}/{day}", rules),
    )
    row.stock_balance.CopyFrom(
        pb.StockBalance(
            warehouse=warehouse,
            product_code=code,
            quantity=_quantity(record["iquantity"]),
            value=_money(record["imoney"], currency),
        )
    )
    return Document(row, "", {("product", code): record.get("cinvname", "")})


def _provenance(record: dict[str, Any], source: str, source_id: str, rules: ErpRules) -> Provenance:
    return Provenance(
        source=source,
        source_id=source_id,
        brought_by=f"poll:{source}",
        observed_time=protos.timestamp(_instant(record, rules)),
    )


def _instant(record: dict[str, Any], rules: ErpRules) -> datetime:
    return datetime.fromisoformat(_text(record, "dmodifysystime")).replace(tzinfo=rules.zone)


def _text(record: dict[str, Any], name: str) -> str:
    value = record[name]
    if not isinstance(value, str) or not value.strip():
        raise Unreadable(f"the field {name} is empty")
    return value.strip()


def _optional(record: dict[str, Any], name: str) -> str:
    """Empty where it is empty or missing. Raises Unreadable for what is no text."""
    value = record.get(name) or ""
    if not isinstance(value, str):
        raise Unreadable(f"the field {name} is no text")
    return value.strip()


def _month(text: str) -> date | None:
    """The first day of "202601", "2026-01" or a day of it; None for nothing."""
    if not text:
        return None
    found = PERIOD.match(text)
    if found is None:
        raise Unreadable(f"{text[:40]} is no accounting period")
    return date(int(found[1]), int(found[2]), 1)


def _quantity(text: str) -> DecimalText:
    value = Decimal(text)
    # 1e999999 is a number too, of a million digits.
    if not value.is_finite() or value.adjusted() > LARGEST_DIGITS or value.as_tuple().exponent < -SMALLEST_DIGITS:  # type: ignore[operator]
        raise Unreadable(f"{text} is no quantity")
    # Never in scientific notation, and 3 is 3, not 3.000000.
    return DecimalText(value=f"{value.normalize():f}")


def _money(text: str, currency: str) -> Money:
    minor = Decimal(text) * coins(currency)
    if minor != minor.to_integral_value() or abs(minor) > 10**17:
        raise Unreadable(f"{text} is no amount of {currency}")
    return protos.money(int(minor), currency)
