"""The composition root of an api process: everything a unit of work can reach, put together once."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from closedloop_chassis.calendar.business import CalendarRules, Calendars
from closedloop_chassis.client import Peers
from closedloop_chassis.clocks.stopwatch import Clocks
from closedloop_chassis.clocks.timers import Timers
from closedloop_chassis.data import schema
from closedloop_chassis.data.revisions import Revisions
from closedloop_chassis.data.transaction import Database
from closedloop_chassis.events.bells import Ringer
from closedloop_chassis.org import copy as org_copy
from closedloop_chassis.org.home import Home, HomeRules
from closedloop_chassis.org.snapshot import Org
from closedloop_chassis.rulebook.shelf import Shelf
from closedloop_chassis.service import Service, Slice
from closedloop_chassis.settings import Settings
from closedloop_chassis.timesource import TimeSource
from closedloop_chassis.work import Work

if TYPE_CHECKING:
    from closedloop_chassis.answers import Answers, Key
    from closedloop_chassis.cache import Cache

log = structlog.get_logger(__name__)

LOOK_EVERY = 1.0
LOOK = """
SELECT (SELECT jsonb_object_agg(name, value) FROM memory_revision) AS revisions,
       (SELECT offset_us FROM development_time) AS offset_us,
       (SELECT oid::text FROM pg_database WHERE datname = current_database()) || ' ' || pg_postmaster_start_time()
           AS incarnation
"""


class ClockDesk:
    """Gives every unit of work its clocks."""

    def bind(self, work: Work) -> Clocks:
        return Clocks(work)

    def timers(self, work: Work) -> Timers:
        return Timers(work)


class Process:
    """One api (or reactor) process of one service. `ready` is set once schema and memory are there."""

    def __init__(self, service: Service, settings: Settings) -> None:
        from closedloop_chassis import platform
        from closedloop_chassis.figures import slice as figures

        self.service = service
        self.settings = settings
        self.slices: tuple[Slice, ...] = (*service.slices, platform.SLICE, figures.SLICE)
        if service.name != "targets":
            # targets owns the organisation; everybody else keeps a copy of it.
            self.slices += (org_copy.SLICE,)
        if settings.development:
            self.slices += (platform.DEVELOPMENT,)
        self.database = Database(
            settings.dsn,
            minimum=settings.pool_min,
            maximum=settings.pool_max,
            wait_seconds=settings.pool_wait_seconds,
            idle_seconds=settings.pool_idle_seconds,
            name=f"closedloop-{service.name}",
        )
        self.time = TimeSource()
        self.org = Org()
        self.rulebooks = Shelf(model for part in self.slices for model in part.rules)
        self.clocks = ClockDesk()
        # Set when the inbox may hold something to apply.
        self.inbox_filled = asyncio.Event()
        self._ringer = Ringer(self.database.reader)
        self.database.told = self._ringer.ring
        self.peers = Peers(settings)
        self.ready = asyncio.Event()
        self._calendars: tuple[CalendarRules, object, Calendars] | None = None
        self._seen: dict[str, int] = {}
        # The database as it has run since it was started, failed over or restored: what it counts, it counts anew. Empty
        # while that is not known.
        self.incarnation = ""
        self._look = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    @cached_property
    def cache(self) -> Cache:
        # Only a service that caches pays for the client: 0.1 s of every start and several megabytes.
        from closedloop_chassis.cache import Cache

        return Cache(self.settings.redis_url.get_secret_value(), prefix=f"closedloop:{self.service.name}")

    @cached_property
    def revisions(self) -> Revisions:
        return Revisions(self.database.reader)

    @cached_property
    def answers(self) -> Answers:
        from closedloop_chassis.answers import Answers

        return Answers(self)

    def keeps(self, key: Key) -> bool:
        """Whether an answer is kept for that question; it may hold no longer."""
        return "answers" in self.__dict__ and self.answers.keeps(key)

    @property
    def memory_revisions(self) -> dict[str, int]:
        """What organisation and rulebooks in memory are made of."""
        return self._seen

    @cached_property
    def release(self) -> str:
        return version(f"closedloop-{self.service.name}")

    def calendars(self, at: datetime) -> Calendars:
        rules, tree = self.rulebooks.in_force(CalendarRules, at), self.org.current
        held = self._calendars
        if held is None or held[0] is not rules or held[1] is not tree:
            held = self._calendars = (rules, tree, Calendars(rules, tree))
        return held[2]

    def home(self, at: datetime) -> Home:
        return Home(self.org.current, self.rulebooks.in_force(HomeRules, at), at)

    async def start(self) -> None:
        """Opens what it needs without waiting for it: a database that is away delays readiness, not the process."""
        await self.database.pool.open()
        self._ringer.start()
        self._watching = asyncio.create_task(self._watch(), name="watch")

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._ringer.stop()
        await self.peers.close()
        if "cache" in self.__dict__:
            await self.cache.close()
        await self.database.pool.close()

    def reload_soon(self) -> None:
        """Looks at once whether memory is stale, instead of within a second."""
        self._look.set()

    async def look(self) -> None:
        """Reloads what other processes changed: rulebooks, the organisation, the development clock."""
        found = await self.database.reader.one(LOOK) or {}
        revisions: dict[str, int] = found["revisions"]
        if revisions["org"] != self._seen.get("org"):
            await self.org.reload(self.database.reader)
        if revisions["rulebook"] != self._seen.get("rulebook"):
            await self.rulebooks.reload(self.database.reader)
        self._seen = revisions
        self.incarnation = found["incarnation"]
        if self.settings.development:
            self.time.offset = timedelta(microseconds=found["offset_us"])

    async def _watch(self) -> None:
        wanted = schema.expected(self.service)
        while True:
            try:
                if not self.ready.is_set():
                    await self._await_schema(wanted)
                self._look.clear()
                await self.look()
                self.ready.set()
            except (psycopg.Error, PoolTimeout) as error:
                self.incarnation = ""
                log.warning("database away", error=str(error).splitlines()[0] if str(error) else repr(error))
            except Exception:
                # A rulebook that no longer loads must not silence everything else.
                log.exception("reload failed; going on with what is in memory")
            try:
                # `wait_for` loses a cancellation that comes in the turn in which its event is set, and the process never ends.
                async with asyncio.timeout(LOOK_EVERY):
                    await self._look.wait()
            except TimeoutError:
                continue

    async def _await_schema(self, wanted: dict[str, str]) -> None:
        while not await schema.is_current(self.database.reader, wanted):
            log.warning("waiting for the schema", wanted=wanted, remedy=f"run {self.service.name} migrate")
            await asyncio.sleep(0.5)
