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
from closedloop_cli.loading import sheet as sheets
from closedloop_cli.loading import tables
from closedloop_cli.loading.ledger import Ledger, Rejection, RowRefused
from closedloop_cli.loading.loader import Item
from closedloop_cli.loading.own_fields import PREFIX, OwnFields
from closedloop_cli.loading.sheet import Sheet

SOURCE = "spreadsheet"
JSON_LINES = (".jsonl", ".ndjson")
# What makes a spreadsheet calculate; what people wrote is never to.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NEGATIVE = re.compile(r"-[0-9]+(\.[0-9]+)?")
# Of several in a cell the first is the one; the row's original keeps the others.
ONE_NUMBER = frozenset({"phone", "email_address"})
DATE, MONEY, STRUCT = "google.type.Date", "google.type.Money", "google.protobuf.Struct"
TIMESTAMP = "google.protobuf.Timestamp"


def items(
    path: Path,
    kind: str,
    make: Callable[[dict[str, Any]], Message],
    ledger: Ledger,
    source: str = "",
    own: OwnFields | None = None,
    sheet: Sheet | None = None,
) -> Iterator[Item]:
    """Rows that can be read, each as the message `make` makes; the others are counted and told. Raises Usage.

    Columns below `profile` may leave the prefix out; several values of one cell are separated by ";". The company's own
    fields are columns `custom_fields.<name>`, or by their titles. With a `sheet` columns may be called as people call them;
    what nobody declared is left out and told, and stays with the record where it has room for the original.
    """
    for line, given in _lines(path):
        try:
            record = make(given)
            columns = _fill(record, given, path, own, sheet, ledger)
            _cite(record, given, source)
            yield Item(record, path.name, line, columns)
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


def _fill(
    record: Message, given: dict[str, Any], path: Path, own: OwnFields | None, sheet: Sheet | None, ledger: Ledger
) -> dict[str, str]:
    """Answers which column said what, by the contract's path, the longest first."""
    if path.suffix in JSON_LINES:
        try:
            json_format.ParseDict(given, record)
        except json_format.ParseError as error:
            raise RowRefused("", "VALUE_UNREADABLE", str(error).splitlines()[0]) from None
        return {}
    said: dict[str, str] = {}
    strange: dict[str, str] = {}
    for column, text in given.items():
        if sheet is not None and not _in_contract(record, column, own):
            strange[column] = text
            continue
        _cell(record, column, text, own)
        said[_full(record, column, own)] = column
    if strange and sheet is not None:
        said |= _strange(record, strange, given, said, sheet, ledger)
    return dict(sorted(said.items(), key=lambda pair: -len(pair[0])))


def _strange(
    record: Any, strange: dict[str, str], given: dict[str, Any], said: dict[str, str], sheet: Sheet, ledger: Ledger
) -> dict[str, str]:
    """Cells below titles that people gave. Of several that say one thing the first of the rulebook is heard, all where the
    contract takes several."""
    found: dict[str, list[tuple[int, str]]] = {}
    for column in strange:
        if (called := sheet.called(column)) is not None and _full(record, called[0], None) not in said:
            path, rank = called
            found.setdefault(path, []).append((rank, column))
    heard = {
        column: path
        for path, columns in found.items()
        for _, column in sorted(columns)[: None if _field(record, path).is_repeated else 1]
    }
    for column in strange:
        if column in heard:
            ledger.columns[column] = heard[column]
        else:
            ledger.ignored[column] += 1
    for column, path in heard.items():
        _meant(record, path, column, strange[column], sheet, ledger)
    if "payload" in record.DESCRIPTOR.fields_by_name and not record.HasField("payload"):
        # Nothing that was written is lost.
        record.payload.update(given)
    return {_full(record, path, None): column for column, path in heard.items()}


def _meant(record: Any, path: str, column: str, text: str, sheet: Sheet, ledger: Ledger) -> None:
    field = _field(record, path)
    text = unguarded(text)
    try:
        if field.is_repeated:
            meant = ";".join(sheet.meant(path, part.strip()) for part in sheets.SEVERAL.split(text) if part.strip())
        elif path in ONE_NUMBER:
            meant = next((part.strip() for part in sheets.SEVERAL.split(text) if part.strip()), "")
        else:
            meant = sheet.meant(path, text)
    except ValueError as error:
        raise RowRefused(column, "WORD_UNKNOWN", f"{error}; rulebook customers.sheets says what words mean") from None
    kind = field.message_type.full_name if field.message_type is not None else ""
    meant = sheets.day(meant) if kind == DATE else sheet.amount(meant) if kind == MONEY else meant
    if meant != text and sheet.has_words(path):
        ledger.mend(column, text, meant)
    try:
        _cell(record, path, meant, None)
    except RowRefused as refused:
        raise RowRefused(column, refused.reason, f"{text!r} does not fit {column} ({path})") from None


def _in_contract(record: Any, column: str, own: OwnFields | None) -> bool:
    first = column.split(".")[0]
    fields = record.DESCRIPTOR.fields_by_name
    return (
        first in fields
        or ("profile" in fields and first in fields["profile"].message_type.fields_by_name)
        or (own is not None and bool(own.called(column)))
    )


def _full(record: Any, path: str, own: OwnFields | None) -> str:
    """As the services name a field in a row's error: "profile.phone"."""
    if path.split(".")[0] in record.DESCRIPTOR.fields_by_name:
        return path
    profile = "profile." if "profile" in record.DESCRIPTOR.fields_by_name else ""
    if own is not None and (name := own.called(path)):
        return f"{profile}{PREFIX}.{name}"
    return f"{profile}{path}"


def _field(record: Any, path: str) -> Any:
    first, *rest = path.split(".")
    owner = record if first in record.DESCRIPTOR.fields_by_name else record.profile
    found = owner.DESCRIPTOR.fields_by_name[first]
    for name in rest:
        found = found.message_type.fields_by_name[name]
    return found


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
        if named and "account_source_id" in record.DESCRIPTOR.fields_by_name:
            # A person's name is known at one customer only.
            named = f"{record.account_id or record.account_source_id}/{named}"[:200]
        provenance.source_id = named or hashlib.sha256(whole).hexdigest()[:32]
