"""The plan of faults: what, when, to whom, how long. It follows from seed, length and broker alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

SERVICES = ("targets", "customers", "funnel", "approvals", "integrations")
PROCESSES = tuple(f"{service}.{role}" for service in SERVICES for role in ("api", "courier"))
Broker = Literal["rabbitmq", "redis"]

# Between two faults on average, in seconds, or less where the time is short; the next one begins whether or not the
# last is over.
GAP = 4.0
FIRST_AT = 3.0
# Nothing begins later than this before the end.
QUIET_SECONDS = 2.0
# A run shorter than this is a short one: each kind comes once and passes sooner, and nobody waits half a minute for what
# was lost.
SHORT_SECONDS = 60.0
SHORTER = 0.3


@dataclass(frozen=True, slots=True)
class Fault:
    """`at` counts from the beginning of the load, `lasts` from `at`: after it the fault is undone; both in seconds.

    `dose` is the fault's own measure: seconds of skew or of delay, the share of messages or connections.
    """

    at: float
    kind: str
    whom: str
    lasts: float = 0.0
    dose: float = 0.0

    def __str__(self) -> str:
        lasting = f" for {self.lasts:.1f} s" if self.lasts else ""
        dose = f" ({self.dose:+.2f})" if self.dose else ""
        return f"{self.at:6.1f} s  {self.kind:<18} {self.whom}{lasting}{dose}"


@dataclass(frozen=True, slots=True)
class Kind:
    """`lasts` and `dose` are ranges to draw from; `needs`: who must be well when it begins."""

    name: str
    targets: tuple[str, ...]
    lasts: tuple[float, float] = (0.0, 0.0)
    dose: tuple[float, float] = (0.0, 0.0)
    signed: bool = False
    needs: str = ""


def kinds(broker: Broker) -> tuple[Kind, ...]:
    servers = ("postgres", "redis", "rabbitmq") if broker == "rabbitmq" else ("postgres", "redis")
    links = (*(f"api.{service}" for service in SERVICES), *servers)
    # targets tells little while a company stays as it is: hardly any receipts come back to it.
    queues = (*(f"{service}.inbox" for service in SERVICES), *(f"{service}.receipts" for service in SERVICES[1:]))
    return (
        Kind("kill", PROCESSES),
        Kind("restart", PROCESSES),
        Kind("freeze", (*PROCESSES, "redis", *(("rabbitmq",) if broker == "rabbitmq" else ())), (1.0, 8.0)),
        Kind("server_stopped", servers, (1.0, 6.0)),
        Kind("server_killed", servers, (0.5, 6.0)),
        Kind("events_unruly", queues, (4.0, 12.0), (0.5, 4.0), needs=broker),
        Kind("events_lost", queues, (2.0, 5.0), needs=broker),
        Kind("broker_emptied", (broker,), needs=broker),
        Kind("disk_filled", ("postgres",), (2.0, 6.0)),
        Kind("log_disk_filled", ("postgres",), (1.0, 4.0)),
        # Callers' tokens have half a minute of leeway; a courier knows no tokens, and no hour.
        Kind("clock_skewed", PROCESSES[::2], (6.0, 15.0), (3.0, 25.0), signed=True),
        Kind("clock_skewed", PROCESSES[1::2], (6.0, 15.0), (30.0, 3600.0), signed=True),
        Kind("cut_mid_call", links, (1.0, 3.0), (0.3, 1.0)),
        Kind("link_silent", links, (1.0, 8.0)),
        Kind("link_slow", links, (3.0, 10.0), (0.02, 0.3)),
    )


def is_short(seconds: float) -> bool:
    return seconds < SHORT_SECONDS


def make(seed: int, seconds: float, broker: Broker) -> list[Fault]:
    """Faults in order of time. Kinds are dealt like cards: each comes once before any comes twice.

    Nobody asks here what the machine can do: a fault that cannot be done is reported, so that plans are the same
    everywhere.
    """
    draw = random.Random(f"{seed}/{seconds:g}/{broker}")
    busy: dict[str, float] = {}
    faults: list[Fault] = []
    deck: list[Kind] = []
    short = is_short(seconds)
    gap = min(GAP, (seconds - FIRST_AT - QUIET_SECONDS) / (len(kinds(broker)) + (5 if short else 1)))
    at = FIRST_AT
    while at < seconds - QUIET_SECONDS:
        if not deck:
            if short and faults:
                break
            deck = list(kinds(broker))
            draw.shuffle(deck)
        kind = deck.pop()
        well = busy.get(kind.needs, 0.0) <= at
        free = [whom for whom in kind.targets if well and busy.get(_body(whom), 0.0) <= at]
        if free:
            whom = draw.choice(free)
            lasts = min(draw.uniform(*kind.lasts) * (SHORTER if short else 1.0), seconds - at)
            dose = draw.uniform(*kind.dose) * (draw.choice((-1, 1)) if kind.signed else 1)
            faults.append(Fault(round(at, 2), kind.name, whom, round(lasts, 2), round(dose, 2)))
            busy[_body(whom)] = at + lasts + 1.0
            at += draw.uniform(0.5, 1.5) * gap
        else:
            # Whoever it could meet suffers something else: its turn comes last.
            deck.insert(0, kind)
            at += 0.5
    return faults


def _body(whom: str) -> str:
    """Who suffers: a fault in front of the database and one of the database itself are not mixed."""
    return whom.removesuffix(".inbox").removesuffix(".receipts")


def counted(faults: Sequence[Fault]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for fault in faults:
        counts[fault.kind] = counts.get(fault.kind, 0) + 1
    return dict(sorted(counts.items()))
