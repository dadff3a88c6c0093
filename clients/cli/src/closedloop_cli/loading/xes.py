"""XES, the standard of process logs (IEEE 1849): traces of events, each with a step, a time, whoever did it.

The file comes from elsewhere: document types and entities are refused before anything is expanded, what a gzip unpacks
to is bounded, and a trace is forgotten when it has been read, so that a log of any length takes little.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from closedloop.funnel.v1.diagnosis_pb2 import ProcessEvent
from closedloop_cli.failures import Usage
from closedloop_cli.loading.loader import Item

LARGEST_BYTES = 4 * 1024**3
# Attributes kept besides those that the standard's extensions name.
MOST_ATTRIBUTES = 50
STEP, TIME, RESOURCE, TRANSITION = "concept:name", "time:timestamp", "org:resource", "lifecycle:transition"


class _Bounded(io.RawIOBase):
    """Passes so many bytes, then refuses: a small gzip may unpack to anything."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = LARGEST_BYTES

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(min(size, self._left) if size >= 0 else self._left)
        self._left -= len(piece)
        if not self._left:
            raise ValueError(f"it unpacks to more than {LARGEST_BYTES} bytes")
        return piece


def items(path: Path) -> Iterator[Item]:
    """Every event as the contract has it, in the order of the file; `row` counts events. Raises Usage for a file that
    is no XES, declares a document type or an entity, or unpacks to too much."""
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for trace in _traces(cast(IO[bytes], _Bounded(cast(IO[bytes], file)))):
                for event in _events(trace, number):
                    number += 1
                    yield Item(event, path.name, number)
    except OSError as error:
        raise Usage("file_unreadable", file=path, problem=error.strerror or error) from None
    except (ParseError, DefusedXmlException, ValueError, EOFError, zlib.error) as error:
        raise Usage("file_unreadable", file=path, problem=error) from None


def _traces(file: IO[bytes]) -> Iterator[Element]:
    parsed = iter(ElementTree.iterparse(file, events=("start", "end"), forbid_dtd=True))
    _, root = next(parsed)
    if _name(root) != "log":
        raise ValueError(f"a process log begins with <log>, this with <{_name(root)}>")
    for what, element in parsed:
        if what == "end" and _name(element) == "trace":
            yield element
            root.clear()


def _events(trace: Element, before: int) -> Iterator[ProcessEvent]:
    about = _attributes(trace)
    case_id = about.pop(STEP, "") or f"trace {before}"
    for position, element in enumerate(child for child in trace if _name(child) == "event"):
        given = _attributes(element)
        event = ProcessEvent(
            case_id=case_id,
            position=position,
            step=given.pop(STEP, ""),
            resource=given.pop(RESOURCE, ""),
            transition=given.pop(TRANSITION, ""),
        )
        moment = _moment(given.pop(TIME, ""))
        if moment is not None:
            event.time.FromDatetime(moment)
        # What is said of the whole case stands with its first step.
        kept = {f"case:{key}": value for key, value in about.items()} if position == 0 else {}
        kept |= given
        event.attributes.update(dict(list(kept.items())[:MOST_ATTRIBUTES]))
        yield event


def _attributes(element: Element) -> dict[str, Any]:
    """Those of the element itself; what is nested in an attribute is left out."""
    return {child.get("key", ""): child.get("value", "") for child in element if child.get("key")}


def _moment(text: str) -> datetime | None:
    """None for one that cannot be read: the service refuses the row and says so."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]
