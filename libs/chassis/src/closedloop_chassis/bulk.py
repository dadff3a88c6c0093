"""Bulk calls: every row stands for itself, a bad one is reported and the others go on.

The contract exempts bulk rows from validation at the edge (`ignore: IGNORE_ALWAYS`), which would refuse the call as a
whole; `sift` does it row by row with the same rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import protovalidate
from google.protobuf.message import Message

from closedloop.common.v1.common_pb2 import BulkSummary, Provenance, RowError
from closedloop_chassis import errors, nul, wellknown

Row = TypeVar("Row", bound=Message)


def sift(rows: Iterable[Row]) -> tuple[list[tuple[int, Row]], list[RowError]]:
    """The rows that keep their contract's rules, with their positions, and an error for each of the others."""
    good: list[tuple[int, Row]] = []
    bad: list[RowError] = []
    for position, row in enumerate(rows):
        fault = _fault(row)
        if fault is None:
            good.append((position, row))
        else:
            bad.append(RowError(row=position, reason="ROW_INVALID", field=fault[0], message=fault[1]))
    return good, bad


def _fault(row: Message) -> tuple[str, str] | None:
    """Path and words of the first broken rule."""
    if b"\0" in row.SerializeToString() and (found := next(nul.fields(row), None)) is not None:
        return found, nul.SAYS
    violations = protovalidate.collect_violations(row)
    if violations:
        first = violations[0].proto
        return ".".join(element.field_name for element in first.field.elements) if first.field else "", first.message
    is_sound = wellknown.check(row.DESCRIPTOR)
    return None if is_sound is None or is_sound(row) else next(iter(wellknown.faults(row).items()))


def distinct(given: Iterable[tuple[int, Row]], refused_rows: list[RowError]) -> list[tuple[int, Row]]:
    """The first row of each provenance, which a row must have to be known when it comes again; the others are added to
    the refused."""
    seen: set[tuple[str, str]] = set()
    kept: list[tuple[int, Row]] = []
    for position, row in given:
        provenance: Provenance = row.provenance  # type: ignore[attr-defined]
        key = (provenance.source, provenance.source_id)
        if not all(key):
            error = errors.InvalidArgument("SOURCE_ID_REQUIRED", "without its id there, a row would come in twice")
        elif key in seen:
            error = errors.InvalidArgument("DUPLICATE_ROW", f"{key[0]}/{key[1]} came in an earlier row of this call")
        else:
            seen.add(key)
            kept.append((position, row))
            continue
        refused_rows.append(refused(position, error, "provenance.source_id"))
    return kept


def refused(position: int, error: errors.DomainError, field: str = "") -> RowError:
    """A row that a rule refused."""
    return RowError(row=position, reason=error.reason, field=field, message=error.message)


def summary(*, read: int, created: int = 0, updated: int = 0, refused: list[RowError]) -> BulkSummary:
    """The closing figures; what was neither written nor refused was unchanged, so that the sum is always right."""
    return BulkSummary(
        read=read,
        created=created,
        updated=updated,
        unchanged=read - created - updated - len(refused),
        rejected=len(refused),
        errors=sorted(refused, key=lambda error: error.row),
    )
