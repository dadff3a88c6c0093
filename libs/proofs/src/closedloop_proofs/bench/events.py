"""Events of one pair of services, from the commit that tells them until they are applied in the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg

from closedloop.customers.v1.events_pb2 import AccountChanged
from closedloop_chassis import contract, ids
from closedloop_devstack import ports
from closedloop_devstack.platform import Options, Platform
from closedloop_devstack.platform.layout import SIZE
from closedloop_proofs.bench.figures import Figure, Wanted
from closedloop_proofs.bench.ground import SETTINGS, Ground
from closedloop_proofs.bench.load import LoadFailed, Pressure
from closedloop_proofs.bench.samples import percentile, summary

SOURCE, TARGET = "customers", "funnel"
BURST = 5_000
RATE = 200
# As many turns: the 99th percentile of a few hundred is an anecdote.
LONGER = 4
SECONDS = 120.0

TELL = """
INSERT INTO outbox (id, type, subject, time, traceparent, data, waiting)
SELECT id, %(type)s, subject, clock_timestamp(), '', data, ARRAY[%(target)s]
  FROM unnest(%(ids)s::uuid[], %(subjects)s::text[], %(data)s::bytea[]) AS told (id, subject, data)
"""
APPLIED = "SELECT count(*) FROM inbox WHERE state = 1 AND id = ANY(%(ids)s::uuid[])"
LAGS = "SELECT extract(epoch FROM applied_at - time)::float8 * 1000 FROM inbox WHERE id = ANY(%(ids)s::uuid[])"
SPAN = "SELECT extract(epoch FROM max(applied_at) - min(time))::float8 FROM inbox WHERE id = ANY(%(ids)s::uuid[])"


@dataclass(frozen=True, slots=True)
class Pair:
    source: psycopg.Connection
    target: psycopg.Connection

    def tell(self, first: int, number: int) -> list[str]:
        """So many events in one transaction, and the bell that the service rings after it; answers their ids."""
        told: list[tuple[str, str, bytes]] = []
        for n in range(first, first + number):
            account = AccountChanged(account_id=ids.new_id(), version=1, name=f"客户 {n}", industry="manufacturing")
            told.append((ids.new_id(), account.account_id, account.SerializeToString()))
        names, subjects, data = (list(column) for column in zip(*told, strict=True))
        kind = contract.route(AccountChanged).type
        self.source.execute(TELL, {"type": kind, "target": TARGET, "ids": names, "subjects": subjects, "data": data})
        self.source.execute("SELECT pg_notify('closedloop_outbox', '')")
        return names

    def applied(self, told: Sequence[str]) -> None:
        """Raises LoadFailed when not all are applied in time."""
        give_up = time.monotonic() + SECONDS
        while (found := self.target.execute(APPLIED, {"ids": list(told)}).fetchone()) != (len(told),):
            if time.monotonic() > give_up:
                raise LoadFailed(f"{found} of {len(told)} events were applied after {SECONDS:g} s")
            time.sleep(0.1)

    def burst(self, number: int) -> float:
        """Events per second from their commit until the last is applied."""
        told = self.tell(0, number)
        self.applied(told)
        span = self.target.execute(SPAN, {"ids": told}).fetchone()
        assert span is not None
        return float(number / span[0])

    def quiet(self) -> None:
        """Until the receipts of all that was told are in: they are work of the burst, not of what comes after it. Raises
        LoadFailed when they are not in time."""
        give_up = time.monotonic() + SECONDS
        while self.source.execute("SELECT FROM outbox LIMIT 1").fetchone() is not None:
            if time.monotonic() > give_up:
                raise LoadFailed(f"events were not acknowledged within {SECONDS:g} s")
            time.sleep(0.1)

    def steadily(self, seconds: float) -> list[float]:
        """Lags in milliseconds, RATE events per second told one by one."""
        self.quiet()
        began, told = time.monotonic(), []
        for n in range(int(RATE * seconds)):
            time.sleep(max(0.0, began + n / RATE - time.monotonic()))
            told += self.tell(n, 1)
        self.applied(told)
        return [float(row[0]) for row in self.target.execute(LAGS, {"ids": told}).fetchall()]


def measure(ground: Ground, pressure: Pressure, rounds: int, only: Callable[[str], bool]) -> list[Figure]:
    figures: list[Figure] = []
    for broker in ("redis", "rabbitmq"):
        if only(f"events over {broker}"):
            figures += _over(broker, ground, pressure, rounds)
    return figures


def _over(broker: str, ground: Ground, pressure: Pressure, rounds: int) -> list[Figure]:
    ground.say(f"events over {broker}: {SOURCE} tells {TARGET}")
    options = Options.model_validate(
        {
            "port_base": ports.free_block(SIZE),
            "services": (SOURCE, TARGET),
            "broker": broker,
            "environment": {**SETTINGS, "CLOSEDLOOP_OTLP_ENDPOINT": ground.collector},
        }
    )
    folder = ground.folder / f"events-{broker}"
    folder.mkdir()
    platform = Platform(folder, options).start()
    try:
        with (
            psycopg.connect(platform.database(SOURCE), autocommit=True) as source,
            psycopg.connect(platform.database(TARGET), autocommit=True) as target,
        ):
            pair = Pair(source, target)
            pair.burst(BURST // 10)
            rates = summary([pair.burst(BURST) for _ in range(rounds)])
            lags = pair.steadily(pressure.seconds * LONGER)
    finally:
        platform.stop()
    return [
        Figure(
            name=f"events over {broker}",
            value=rates.median,
            unit="events/s",
            against="",
            ratio=None,
            wanted=Wanted(">=", 1000, of="value"),
            spread=rates.spread,
        ),
        Figure(
            name=f"events over {broker}, lag at {RATE}/s, p99",
            value=percentile(lags, 0.99),
            unit="ms",
            against="",
            ratio=None,
            wanted=Wanted("<", 200, of="value"),
            median=percentile(lags, 0.5),
            p99=percentile(lags, 0.99),
        ),
    ]
