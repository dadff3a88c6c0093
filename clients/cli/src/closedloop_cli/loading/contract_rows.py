"""Files whose columns are the contract's own fields: CSV or a workbook with a heading of field paths, or JSON lines of proto
JSON."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from closedloop_cli import shapes
from closedloop_cli.failures import Usage
from closedloop_cli.loading import tables
from closedloop_cli.loading.ledger import Ledger, Rejection, RowRefused
from closedloop_cli.loading.loader import Item
from closedloop_cli.loading.own_fields import PREFIX, OwnFields

SOURCE = "spreadsheet"
JSON_LINES = (".jsonl", ".ndjson")
# What makes a spreadsheet calculate; what people wrote is never to.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NEGATIVE = re.compile(r"-[0-9]+(\.[0-9]+)?")
DATE, MONEY, STRUCT = "google.type.Date", "google.type.Money", "google.protobuf.Struct"
TIMESTAMP = "google.protobuf.Timestamp"


def items(
    path: Path,
    kind: str,
    make: Callable[[dict[str, Any]], Message],
    ledger: Ledger,
    source: str = "",
    own: OwnFields | None = None,
) -> Iterator[Item]:
    """Rows that can be read, each as the message `make` makes; the others are counted and told. Raises Usage.

    Columns below `profile` may leave the prefix out; several values of one cell are separated by ";". The company's own
    fields are columns `custom_fields.<name>`, or by their titles.
    """
    for line, given in _lines(path):
        try:
            record = make(given)
            _fill(record, given, path, own)
            _cite(record, given, source)
            yield Item(record, path.name, line)
        except RowRefused as refused:
            ledger.tally(kind).read += 1
            ledger.reject(kind, Rejection(path.name, line, refused.column, refused.reason, refused.message))


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    if path.suffix not in JSON_LINES:
        yield from tables.records(path)
        return
    try:
        with path.open(encoding=tables.charset(path), newline="") as file:
            for line, text in enumerate(file, start=1):
                if text.strip():
                    yield line, json.loads(text)
    except OSError as error:
        raise Usage("file_unreadable", file=path, problem=error.strerror or error) from None
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise Usage("file_unreadable", file=path, problem=error) from None


def _fill(record: Message, given: dict[str, Any], path: Path, own: OwnFields | None) -> None:
    if path.suffix in JSON_LINES:
        try:
            json_format.ParseDict(given, record)
        except json_format.ParseError as error:
            raise RowRefused("", "VALUE_UNREADABLE", str(error).splitlines()[0]) from None
        return
    for column, text in given.items():
        _cell(record, column, text, own)


def guarded(text: str) -> str:
    """As a cell that no spreadsheet takes for a formula; `unguarded` takes the mark away again."""
    return f"'{text}" if text.startswith((*FORMULA, "'")) and not _NEGATIVE.fullmatch(text) else text


def unguarded(text: str) -> str:
    return text[1:] if text.startswith("'") and text[1:].startswith((*FORMULA, "'")) else text


def _cell(record: Any, column: str, text: str, own: OwnFields | None) -> None:
    text = unguarded(text)
    path = column.split(".")
    if path[0] not in record.DESCRIPTOR.fields_by_name and "profile" in record.DESCRIPTOR.fields_by_name:
        record = record.profile
    if path[0] not in record.DESCRIPTOR.fields_by_name and own is not None and (name := own.called(column)):
        path = [PREFIX, name]
    if path[0] == PREFIX and len(path) > 1 and PREFIX in record.DESCRIPTOR.fields_by_name:
        _own_cell(record, ".".join(path[1:]), column, text, own)
        return
    for name in path[:-1]:
        if name not in record.DESCRIPTOR.fields_by_name:
            raise RowRefused(column, "COLUMN_UNKNOWN", f"the contract has no field {column}")
        record = getattr(record, name)
    field = record.DESCRIPTOR.fields_by_name.get(path[-1])
    if field is None:
        raise RowRefused(column, "COLUMN_UNKNOWN", f"the contract has no field {column}")
    try:
        if field.is_repeated:
            getattr(record, field.name).extend(_value(field, part.strip()) for part in text.split(";") if part.strip())
        elif field.message_type is not None:
            getattr(record, field.name).CopyFrom(_value(field, text))
        else:
            setattr(record, field.name, _value(field, text))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, json_format.ParseError, Usage):
        raise RowRefused(column, "VALUE_UNREADABLE", f"{text!r} does not fit {column}") from None


def _own_cell(record: Any, name: str, column: str, text: str, own: OwnFields | None) -> None:
    try:
        record.custom_fields[name] = own.value(name, text) if own is not None else text
    except ValueError:
        kind = own.kind(name) if own is not None else ""
        raise RowRefused(column, "VALUE_UNREADABLE", f"{text!r} is no {kind}") from None


def _value(field: Any, text: str) -> Any:
    if field.message_type is not None:
        if field.message_type.full_name == DATE:
            return shapes.parse_day(text, field.name)
        if field.message_type.full_name == MONEY:
            return shapes.parse_money(text, field.name)
        if field.message_type.full_name == TIMESTAMP:
            return shapes.parse_time(text, field.name)
        if field.message_type.full_name == STRUCT:
            return json_format.ParseDict(json.loads(text), Struct())
        raise ValueError(field.message_type.full_name)
    if field.enum_type is not None:
        prefix = field.enum_type.values[0].name.removesuffix("UNSPECIFIED")
        known = field.enum_type.values_by_name
        return known[text if text in known else f"{prefix}{text.upper()}"].number if text else 0
    if field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64):
        return int(text)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[text.lower()]
    return float(text) if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE else text


def _cite(record: Any, given: dict[str, Any], source: str) -> None:
    """Who brought it: a row without an id of its own is known again by its content."""
    provenance = record.provenance
    provenance.source = provenance.source or source or SOURCE
    if not provenance.source_id:
        whole = json.dumps(given, sort_keys=True, ensure_ascii=False).encode()
        named = getattr(record, "id", "") or (
            record.profile.name if "name" in dir(getattr(record, "profile", None)) else ""
        )
        provenance.source_id = named or hashlib.sha256(whole).hexdigest()[:32]
