"""What people and programs see: tables or JSON on the one side, progress and complaints on the other."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Timer
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from closedloop_cli.failures import Failure
from closedloop_cli.words import Words

# Headings of the catalogue with what a record says under them; those that say nothing are left out.
Fields = Sequence[tuple[str, RenderableType]]
# Who waits longer than this wants to see how far it is.
PATIENCE_SECONDS = 2.0
# A pipe has no width of its own; a table is not cut for it.
WIDTH_OF_A_PIPE = 240


@dataclass(frozen=True, slots=True)
class Column:
    """A heading of the catalogue, and what of a record stands below it."""

    heading: str
    cell: Callable[[Any], RenderableType]
    right: bool = False


class Screen:
    """`as_json`: one document or JSON lines on stdout, in proto JSON; nothing else goes there."""

    def __init__(self, words: Words, as_json: bool = False) -> None:
        self.words = words
        self.as_json = as_json
        self._out = _console(sys.stdout)
        self._err = _console(sys.stderr)

    def say(self, key: str, **values: object) -> None:
        """A sentence of the catalogue for people."""
        if not self.as_json:
            self._out.print(Text(self.words(key, **values)))

    def note(self, key: str, **values: object) -> None:
        """A remark beside the result."""
        self._err.print(Text(self.words(key, **values), style="yellow"))

    def print(self, what: RenderableType) -> None:
        if not self.as_json:
            self._out.print(what)

    def raw(self, text: str) -> None:
        """Text that a program takes as it is."""
        sys.stdout.write(text + "\n")

    def table(self, columns: Sequence[Column], records: Iterable[Any], title: str = "") -> int:
        """For people. Answers how many rows there were."""
        table = Table(box=None, pad_edge=False, title=title or None, title_justify="left", header_style="bold")
        for column in columns:
            table.add_column(self.words(column.heading), justify="right" if column.right else "left")
        count = 0
        for record in records:
            table.add_row(*(_cell(column.cell(record)) for column in columns))
            count += 1
        if count:
            self.print(table)
        return count

    def records(self, columns: Sequence[Column], records: Iterable[Message], empty: str = "nothing") -> None:
        """A list: JSON lines, or a table."""
        if self.as_json:
            for record in records:
                self.line(plain(record))
        elif not self.table(columns, records):
            self.say(empty)

    def record(self, record: Message, fields: Fields) -> None:
        """One record: a document, or its fields below each other."""
        if self.as_json:
            self.document(plain(record))
        else:
            self.fields(fields)

    def fields(self, fields: Fields) -> None:
        """Those that have something to say."""
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="bold")
        table.add_column()
        for heading, value in fields:
            if not isinstance(value, str) or value:
                table.add_row(self.words(heading), _cell(value))
        self.print(table)

    def document(self, document: Any) -> None:
        self.raw(json.dumps(document, ensure_ascii=False, indent=2))

    def line(self, document: Any) -> None:
        """One of many documents."""
        self.raw(json.dumps(document, ensure_ascii=False))

    def fail(self, failure: Failure) -> None:
        if self.as_json:
            sys.stderr.write(json.dumps({"error": failure.document()}, ensure_ascii=False) + "\n")
            return
        self._err.print(Text(failure.sentence, style="red"))
        for field, problem in failure.violations.items():
            self._err.print(Text(f"  {field}: {problem}", style="red"))
        if failure.reason and failure.code not in ("USAGE", "REFUSED", "UNREACHABLE"):
            self._err.print(Text(f"  {failure.code} {failure.reason}", style="dim"))

    @contextmanager
    def progress(self, key: str, total: int | None = None, **values: object) -> Iterator[Callable[[int], None]]:
        """`with screen.progress("...", 100) as step: step(1)`; appears once somebody has waited for two seconds."""
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn() if total is not None else TextColumn(""),
            TimeElapsedColumn(),
            console=self._err,
            transient=True,
        )
        task = bar.add_task(self.words(key, **values), total=total)
        shown = Timer(PATIENCE_SECONDS, bar.start)
        shown.daemon = True
        if self._err.is_terminal and not self.as_json:
            shown.start()
        try:
            yield lambda steps: bar.advance(task, steps)
        finally:
            shown.cancel()
            if bar.live.is_started:
                bar.stop()


def plain(record: Message) -> dict[str, Any]:
    """Proto JSON with every field in its place, so that keys are always the same."""
    return json_format.MessageToDict(record, always_print_fields_with_no_presence=True)


def bar(ratio: float, style: str = "cyan", width: int = 20) -> ProgressBar:
    """How far towards 1; beyond it the bar is full and the figure beside it says more."""
    return ProgressBar(
        total=1.0, completed=max(0.0, min(ratio, 1.0)), width=width, complete_style=style, finished_style=style
    )


def _console(stream: Any) -> Console:
    console = Console(file=stream, highlight=False, markup=False, soft_wrap=False)
    return (
        console if console.is_terminal else Console(file=stream, highlight=False, markup=False, width=WIDTH_OF_A_PIPE)
    )


def _cell(value: RenderableType) -> RenderableType:
    # What people wrote is no markup of ours.
    return Text(value) if isinstance(value, str) else value
