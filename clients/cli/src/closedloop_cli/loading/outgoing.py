"""Records as the rows that `import` takes: CSV with the contract's fields as columns, or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from closedloop.customers.v1 import accounts_pb2, contacts_pb2, leads_pb2
from closedloop.funnel.v1 import activities_pb2, opportunities_pb2
from closedloop_cli import shapes
from closedloop_cli.failures import Refused
from closedloop_cli.loading.contract_rows import JSON_LINES, guarded
from closedloop_cli.loading.own_fields import PREFIX


def account_row(account: accounts_pb2.Account) -> accounts_pb2.AccountRow:
    row = accounts_pb2.AccountRow(profile=account.profile, owner_id=account.ownership.owner_id)
    for provenance in account.provenances[:1]:
        row.provenance.source, row.provenance.source_id = provenance.source, provenance.source_id
    return row


def contact_row(contact: contacts_pb2.Contact) -> contacts_pb2.ContactRow:
    row = contacts_pb2.ContactRow(profile=contact.profile, account_id=contact.account_id)
    for provenance in contact.provenances[:1]:
        row.provenance.source, row.provenance.source_id = provenance.source, provenance.source_id
    return row


def lead_row(lead: leads_pb2.Lead) -> leads_pb2.LeadRow:
    row = leads_pb2.LeadRow(profile=lead.profile, owner_id=lead.ownership.owner_id)
    row.provenance.source, row.provenance.source_id = lead.provenance.source, lead.provenance.source_id
    return row


def opportunity_row(deal: opportunities_pb2.Opportunity) -> opportunities_pb2.OpportunityRow:
    """`product` where one product is all there is."""
    row = opportunities_pb2.OpportunityRow(
        name=deal.name,
        owner=deal.ownership.owner_id,
        account=deal.account_id,
        product=deal.lines[0].product_id if len(deal.lines) == 1 else "",
        pipeline_id=deal.pipeline_id,
        stage=deal.stage_key,
        state=deal.state,
        reason_code=deal.reason_code,
        reason_comment=deal.reason_comment,
        customer_type=deal.customer_type,
        competitors=deal.competitors,
        custom_fields=deal.custom_fields if deal.HasField("custom_fields") else None,
    )
    row.provenance.source, row.provenance.source_id = deal.provenance.source, deal.provenance.source_id
    for name, value in (
        ("engage_date", deal.engage_date),
        ("expected_close_date", deal.expected_close_date),
        ("close_date", deal.close_date),
        ("value", deal.amount),
    ):
        if value.ListFields():
            getattr(row, name).CopyFrom(value)
    if deal.HasField("margin_ratio"):
        row.margin_ratio = deal.margin_ratio
    return row


def activity_row(log: activities_pb2.Activity) -> activities_pb2.ActivityRow:
    """What a file of logs has no place for (photos, participants, what was found of it) stays behind."""
    row = activities_pb2.ActivityRow(
        kind=log.kind,
        state=log.state,
        owner=log.ownership.owner_id,
        account=log.account_id,
        opportunity=log.opportunity_id,
        subject=log.subject,
        content=log.content,
        attitude_before=log.attitude_before,
        attitude_after=log.attitude_after,
        next_step=log.next_step,
        action_unit_keys=[one.action_unit_key for one in log.actions],
        script_version=log.script_version,
        custom_fields=log.custom_fields if log.HasField("custom_fields") else None,
    )
    row.provenance.source, row.provenance.source_id = log.provenance.source, log.provenance.source_id
    begun = log.start_time if log.HasField("start_time") else log.planned_period.start_time
    ended = log.end_time if log.HasField("start_time") else log.planned_period.end_time
    known = {
        "start_time": begun,
        "end_time": ended,
        "next_step_date": log.next_step_date,
        "position": log.visit.position,
    }
    for name, value in known.items():
        if value.ListFields():
            getattr(row, name).CopyFrom(value)
    return row


def write(path: Path, rows: Iterable[Message], own: Iterable[str]) -> int:
    """How many. `own` fields have a column even where nobody has a value. Raises Refused for a file that cannot be written."""
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            return _lines(file, rows) if path.suffix in JSON_LINES else _table(file, rows, own)
    except OSError as error:
        raise Refused("page_not_written", file=path, why=error.strerror or error) from None


def _lines(file: TextIO, rows: Iterable[Message]) -> int:
    count = 0
    for row in rows:
        told = json_format.MessageToDict(row, preserving_proto_field_name=True)
        file.write(json.dumps(told, ensure_ascii=False) + "\n")
        count += 1
    return count


def _table(file: TextIO, rows: Iterable[Message], own: Iterable[str]) -> int:
    cells = [{name: guarded(text) for name, text in _cells(row)} for row in rows]
    found = dict.fromkeys([*(name for row in cells for name in row), *(f"{PREFIX}.{name}" for name in own)])
    # The contract's columns first.
    table = csv.DictWriter(file, sorted(found, key=lambda name: name.startswith(f"{PREFIX}.")))
    table.writeheader()
    table.writerows(cells)
    return len(cells)


def _cells(message: Message, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Columns as `contract_rows` reads them; fields of a profile stand without its name."""
    for field, value in message.ListFields():
        if isinstance(value, Struct):
            for name, one in shapes.whole(json_format.MessageToDict(value)).items():
                yield f"{PREFIX}.{name}", _text(field, one)
        elif isinstance(value, Message) and not isinstance(value, Date | Money | Timestamp):
            yield from _cells(value, "" if field.name == "profile" else f"{prefix}{field.name}.")
        elif field.is_repeated and field.message_type is not None:
            # Lines, clauses: a table has no place for them.
            continue
        elif field.is_repeated:
            yield f"{prefix}{field.name}", ";".join(_text(field, one) for one in value)
        else:
            yield f"{prefix}{field.name}", _text(field, value)


def _text(field: Any, value: Any) -> str:
    if isinstance(value, Date):
        return shapes.day(value)
    if isinstance(value, Money):
        return f"{shapes.decimal_of(value):f} {value.currency_code}"
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    if isinstance(value, bool):
        return "true" if value else "false"
    if field.enum_type is not None:
        name: str = field.enum_type.values_by_number[value].name
        return name.removeprefix(field.enum_type.values[0].name.removesuffix("UNSPECIFIED")).lower()
    return str(value)
