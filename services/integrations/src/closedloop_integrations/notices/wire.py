"""Notices and matches between protobuf and rows."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from closedloop.common.v1.common_pb2 import Ownership, Provenance, RuleReference
from closedloop.integrations.v1 import notices_pb2 as pb
from closedloop_chassis import errors, etags, protos
from closedloop_chassis.enums import number, word
from closedloop_integrations.notices.rules import Notice, ProcurementRules
from closedloop_integrations.notices.store import Match


def notice(record: Notice, *, body: bool = True) -> pb.Notice:
    message = pb.Notice(
        id=record.id,
        kind=number(pb.NoticeKind, record.kind),
        title=record.title,
        buyer=record.buyer,
        agency=record.agency,
        region=record.region,
        items=[_item(item) for item in record.items],
        publish_date=protos.date_proto(record.publish_date),
        expected_date=_month(record.expected_date),
        deadline_time=protos.timestamp(record.deadline_at),
        url=record.url,
        body=record.body if body else "",
        sectors=record.sectors,
        suppliers=record.suppliers,
        provenance=Provenance(
            source=record.source,
            source_id=record.source_id,
            brought_by=record.brought_by,
            observed_time=protos.timestamp(record.observed_at),
        ),
        mended=record.mended,
        create_time=protos.timestamp(record.created_at),
        project_key=record.project_key,
    )
    if record.amount_minor is not None:
        message.amount.CopyFrom(protos.money(record.amount_minor, record.currency))
    return message


def from_json(row: dict[str, Any]) -> Notice:
    """A notice out of to_jsonb, where days and instants are text."""
    instants = {name: datetime.fromisoformat(row[name]) for name in ("observed_at", "created_at")}
    deadline = row["deadline_at"] and datetime.fromisoformat(row["deadline_at"])
    return Notice(
        **{**row, **instants, "deadline_at": deadline, "publish_date": date.fromisoformat(row["publish_date"])}
    )


def match(record: Match, about: Notice) -> pb.Match:
    return pb.Match(
        id=record.id,
        notice_id=record.notice_id,
        account_id=record.account_id,
        state=number(pb.MatchState, record.state),
        confidence=record.confidence,
        matched_name=record.matched_name,
        matched_text=record.matched_text,
        matched_field=record.matched_field,
        keywords=about.keywords,
        sectors=about.sectors,
        rule=RuleReference(
            rulebook=ProcurementRules.rulebook,
            version=record.rulebook_version,
            rule=record.rule,
            explanation=record.explanation,
        ),
        match_time=protos.timestamp(record.matched_at),
        reviewed_by=record.reviewed_by,
        review_time=protos.timestamp(record.reviewed_at),
        review_comment=record.review_comment,
        etag=etags.of(record.version),
        ownership=Ownership(owner_id=record.owner_id or "", unit_id=record.unit_id or ""),
        notice=notice(about, body=False),
    )


def said(row: pb.Notice, brought_by: str, now: datetime) -> dict[str, Any]:
    """What an imported row says, as `rules.complete` takes it. Raises InvalidArgument for what no rule of the contract sees."""
    given = row.provenance
    if not given.source or not given.source_id:
        raise errors.InvalidArgument(
            "PROVENANCE_MISSING", "a row names its source and its id there", {"provenance": "required"}
        )
    amount, currency = _amount(row.amount, "amount") if row.HasField("amount") else (None, "")
    observed = (
        protos.instant(given.observed_time, "provenance.observed_time") if given.HasField("observed_time") else now
    )
    return {
        "source": given.source,
        "source_id": given.source_id,
        "kind": word(pb.NoticeKind, row.kind),
        "title": row.title,
        "buyer": row.buyer,
        "agency": row.agency,
        "region": row.region,
        "items": [_said_item(item) for item in row.items],
        "amount_minor": amount,
        "currency": currency,
        "publish_date": protos.day(row.publish_date, "publish_date")
        if row.HasField("publish_date")
        else observed.date(),
        "expected_date": _expected(row.expected_date, "expected_date"),
        "deadline_at": protos.instant(row.deadline_time, "deadline_time") if row.HasField("deadline_time") else None,
        "url": row.url,
        "body": row.body,
        "suppliers": list(row.suppliers),
        "sectors": list(row.sectors),
        "mended": [],
        "brought_by": given.brought_by or brought_by,
        "observed_at": observed,
    }


def _item(item: dict[str, Any]) -> pb.NoticeItem:
    message = pb.NoticeItem(name=item["name"], requirement=item["requirement"], remark=item["remark"])
    if item["amount_minor"] is not None:
        message.amount.CopyFrom(protos.money(item["amount_minor"], item["currency"]))
    if expected := _month(item["expected_date"]):
        message.expected_date.CopyFrom(expected)
    return message


def _said_item(item: pb.NoticeItem) -> dict[str, Any]:
    amount, currency = _amount(item.amount, "items.amount") if item.HasField("amount") else (None, "")
    return {
        "name": item.name,
        "requirement": item.requirement,
        "amount_minor": amount,
        "currency": currency,
        "expected_date": _expected(item.expected_date, "items.expected_date"),
        "remark": item.remark,
    }


def _amount(money: Money, field: str) -> tuple[int, str]:
    return protos.minor_units(money, field), money.currency_code


def _expected(day: Date, field: str) -> str:
    """A month (day 0) or a day as text; empty where nothing was said."""
    if not day.year:
        return ""
    if not day.day:
        protos.day(Date(year=day.year, month=day.month, day=1), field)
        return f"{day.year:04d}-{day.month:02d}"
    return protos.day(day, field).isoformat()


def _month(text: str) -> Date | None:
    if not text:
        return None
    year, month, *day = (int(part) for part in text.split("-"))
    return Date(year=year, month=month, day=day[0] if day else 0)
