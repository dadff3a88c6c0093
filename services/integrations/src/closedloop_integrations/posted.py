"""Items that other systems post or that are imported, as messages of the contract. Runs in the api."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from google.protobuf import json_format
from google.protobuf.message import Message

from closedloop.common.v1.common_pb2 import BulkSummary, Provenance
from closedloop_chassis import bulk, errors, protos, structs
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Work
from closedloop_integrations import quarantine, runs

# Deeper than any item is.
DEPTH = 20

Item = TypeVar("Item", bound=Message)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a batch; `broken` has "REASON: message" by position."""

    created: int
    updated: int
    broken: dict[int, str]


def close(work: Work, texts: Sequence[str], taken: Taken, *, source: str, kind: str, key: str) -> None:
    """A posted batch is a run; what nobody can read of it is set aside in it."""
    run_id = new_id()
    for position, reason in taken.broken.items():
        name, _, message = reason.partition(": ")
        where: dict[str, Any] = {"source": source, "kind": kind, "key": key, "run_id": run_id, "position": position}
        quarantine.set_aside(work.tx, work.now, **where, reason=name, message=message, raw=texts[position])
    wrong = len(taken.broken)
    summary = BulkSummary(read=len(texts), created=taken.created, updated=taken.updated, rejected=wrong)
    runs.keep_summary(work, source, summary, quarantined=wrong, id=run_id)


def read(
    texts: Sequence[str], make: Callable[[], Item], complete: Callable[[Item], None]
) -> tuple[list[tuple[int, Item]], dict[int, str]]:
    """Those that keep the contract's rules, with their positions; and "REASON: message" of the others, by position.

    `complete` adds what a sender may leave out."""
    parsed: list[tuple[int, Item]] = []
    broken: dict[int, str] = {}
    for position, text in enumerate(texts):
        item = make()
        try:
            json_format.Parse(text, item, ignore_unknown_fields=True, max_recursion_depth=DEPTH)
        except (json_format.ParseError, ValueError, RecursionError) as error:
            broken[position] = f"ITEM_UNREADABLE: {error}"
            continue
        complete(item)
        parsed.append((position, item))
    sound, unsound = bulk.sift(item for _, item in parsed)
    for fault in unsound:
        broken[parsed[fault.row][0]] = f"{fault.reason}: {fault.field} {fault.message}"
    return [(parsed[at][0], item) for at, item in sound], broken


def kept(said: Item, work: Work) -> Item:
    """The item as it is kept: who brought it and when it was observed are ours to say, and so is its id.

    Raises InvalidArgument PROVENANCE_MISSING, NOT_A_NUMBER."""
    told: Any = said
    if not told.provenance.source or not told.provenance.source_id:
        raise errors.InvalidArgument(
            "PROVENANCE_MISSING", "a row names its source and its id there", {"provenance": "required"}
        )
    if "custom_fields" in told.DESCRIPTOR.fields_by_name and told.HasField("custom_fields"):
        structs.plain(told.custom_fields)
    document: Any = type(said)()
    document.CopyFrom(said)
    document.ClearField("id")
    document.provenance.CopyFrom(
        Provenance(
            source=told.provenance.source,
            source_id=told.provenance.source_id,
            brought_by=work.actor,
            observed_time=protos.timestamp(work.now),
        )
    )
    return cast(Item, document)
