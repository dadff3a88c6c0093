"""What changes, read once for all streams of a process; without streams nothing runs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from weakref import WeakKeyDictionary

import structlog

from closedloop_chassis import errors
from closedloop_chassis.process import Process
from closedloop_chassis.work import Call, Work
from closedloop_funnel.watch import store
from closedloop_funnel.watch.rules import WatchRules
from closedloop_funnel.watch.store import Change, Position

log = structlog.get_logger(__name__)

CHANNEL = "watch"
# Read at once, and held for a stream whose client is slower than the others.
MOST = 1000
# Called out at most so often: calling costs as much as a fifth of the write it tells of, and who reads reads all there is.
GAP = 0.01


class Listener:
    """One stream. `behind`: it has not followed, and reads for itself from where it stands."""

    def __init__(self) -> None:
        self.changes: deque[Change] = deque()
        self.behind = True
        self.news = asyncio.Event()

    def hear(self, changes: list[Change]) -> None:
        if not self.behind:
            self.changes.extend(changes)
        if len(self.changes) > MOST:
            self.fall_behind()
        self.news.set()

    def fall_behind(self) -> None:
        self.changes.clear()
        self.behind = True
        self.news.set()


class Feed:
    """The streams of a process, and where they stand together."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._listeners: set[Listener] = set()
        self._running: asyncio.Task[None] | None = None
        self._calling: asyncio.Task[None] | None = None
        self._wanted = False

    @contextmanager
    def listen(self, call: Call) -> Iterator[Listener]:
        """Raises ResourceExhausted TOO_MANY_STREAMS."""
        most = call.rules(WatchRules).most_streams
        if len(self._listeners) >= most:
            raise errors.ResourceExhausted("TOO_MANY_STREAMS", f"{most} are open already", retry_after=5)
        listener = Listener()
        self._listeners.add(listener)
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="funnel-feed")
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners and self._running is not None:
                self._running.cancel()
                self._running = None

    def call_out(self) -> None:
        """Says to every process that there is something to see; once for many commits at a time."""
        self._wanted = True
        if self._calling is None or self._calling.done():
            self._calling = asyncio.get_running_loop().create_task(self._call_out(), name="funnel-call")

    async def _call_out(self) -> None:
        while self._wanted:
            self._wanted = False
            await self._process.cache.call_out(CHANNEL)
            await asyncio.sleep(GAP)

    async def _run(self) -> None:
        ear, head, called = self._process.cache.ear(CHANNEL), None, False
        try:
            while True:
                rules, before = self._process.rulebooks.in_force(WatchRules, self._process.time.now()), head
                try:
                    head = await self._read(head)
                except Exception:
                    # A stream must not stand still for good because of one look that failed.
                    log.exception("cannot read changes, will look again")
                # Called, and nothing is settled yet: an older transaction still runs. Look again soon.
                unsettled = called and head == before
                called = await ear.wait(rules.away_seconds if unsettled else rules.look_seconds, rules.away_seconds)
        finally:
            with suppress(asyncio.CancelledError):
                await ear.close()

    async def _read(self, head: Position | None) -> Position:
        db = self._process.database.reader
        if head is None:
            head = await store.now(db)
            # Whoever came before we stood anywhere reads once more for itself.
            for listener in self._listeners:
                listener.fall_behind()
        while changes := await store.after(db, head, MOST):
            for listener in self._listeners:
                listener.hear(changes)
            head = changes[-1].position
        return head


_feeds: WeakKeyDictionary[Process, Feed] = WeakKeyDictionary()


def feed(process: Process) -> Feed:
    found = _feeds.get(process)
    if found is None:
        found = _feeds[process] = Feed(process)
    return found


def tell_watchers(work: Work) -> None:
    """After the commit; what it does not tell of is seen at the next look."""
    work.tx.after_commit(feed(work.process).call_out)
