"""Sends records in batches, keeps the ledger, and is patient with what a service has not heard of yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from closedloop.common.v1.common_pb2 import BulkSummary, RowError
from closedloop_cli.failures import Refused
from closedloop_cli.loading.ledger import Ledger, Rejection

# How long rows wait for what was loaded before them to reach the service that needs it.
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.5

Send = Callable[[Sequence[Any]], BulkSummary]


@dataclass(frozen=True, slots=True)
class Item:
    """One record to send and where it stood. `columns`: contract field → the file's column.

    `leans_on`: reason of refusal → key of the record it would be about, e.g. {"OWNER_UNKNOWN": "person:ann"}."""

    message: Any
    file: str
    row: int
    columns: Mapping[str, str] = field(default_factory=dict)
    leans_on: Mapping[str, str] = field(default_factory=dict)


class Loader:
    """`coming`: keys of the records this import brings. A row refused for lack of one of them is late, not wrong:
    it is sent again until the service has heard; in a dry run it counts as what it would become."""

    def __init__(self, ledger: Ledger, *, dry_run: bool, batch: int, patience: float = PATIENCE_SECONDS) -> None:
        self.ledger = ledger
        self.dry_run = dry_run
        self.coming: set[str] = set()
        self._batch = batch
        self._patience = patience

    def load(self, kind: str, items: Iterable[Item], send: Send, step: Callable[[int], None] = lambda _: None) -> None:
        """Raises Refused FIGURES_WRONG when a service's own figures do not add up."""
        late: list[Item] = []
        for batch in batches(items, self._batch):
            self.ledger.tally(kind).read += len(batch)
            late += self._send(kind, batch, send)
            step(len(batch))
        give_up = time.monotonic() + self._patience
        while late:
            time.sleep(PAUSE_SECONDS)
            final = time.monotonic() > give_up
            late = [left for batch in batches(late, self._batch) for left in self._send(kind, batch, send, final=final)]

    def _send(self, kind: str, batch: Sequence[Item], send: Send, *, final: bool = False) -> list[Item]:
        """Answers the rows that are late."""
        summary = send([item.message for item in batch])
        counted = summary.created + summary.updated + summary.unchanged + summary.rejected
        if summary.read != len(batch) or counted != len(batch) or len(summary.errors) != summary.rejected:
            raise Refused("figures_wrong", kind=kind, sent=len(batch), told=str(summary)[:300].replace("\n", " "))
        tally = self.ledger.tally(kind)
        tally.take(summary)
        late = []
        for error in summary.errors:
            item = batch[error.row]
            if item.leans_on.get(error.reason) in self.coming and not final:
                if self.dry_run:
                    tally.created += 1
                else:
                    late.append(item)
            else:
                self.ledger.reject(kind, rejection(item, error))
        return late


def rejection(item: Item, error: RowError) -> Rejection:
    """A service's row error, in the words of the file."""
    column = next((name for path, name in item.columns.items() if error.field.startswith(path)), error.field)
    return Rejection(item.file, item.row, column, error.reason, error.message)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    ahead = iter(items)
    while batch := list(islice(ahead, size)):
        yield batch
