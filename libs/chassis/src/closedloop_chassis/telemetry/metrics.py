"""Every metric of Closedloop, by name, in one place. Dashboards, alerts and tests refer to this module.

Labels hold only what is bounded by the contract or the configuration: RPCs, codes, clock kinds, pollers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import Counter, Gauge, Histogram

# Promises of the contracts (SLOs) lie on these bounds, so that "answered within" is counted and not interpolated.
LATENCY_BUCKETS = (
    0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75,
    1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0,
)  # fmt: skip

MINUTE, HOUR, DAY = 60, 3600, 86400
SPAN_BUCKETS = (
    MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, DAY, 2 * DAY, 5 * DAY, 7 * DAY,
    14 * DAY, 30 * DAY, 60 * DAY, 90 * DAY, 180 * DAY,
)  # fmt: skip
BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500)

# RPCs: rate, errors and duration all come out of one histogram.
RPC_SECONDS = Histogram(
    "closedloop_rpc_seconds", "RPCs answered, by gRPC code", ("method", "code"), buckets=LATENCY_BUCKETS
)
RPC_ACTIVE = Gauge("closedloop_rpc_active", "RPCs being served now", ("kind",))
RPC_REFUSED = Counter("closedloop_rpc_refused_total", "RPCs refused before any work", ("reason",))
RPC_REPEATED = Counter("closedloop_rpc_repeated_total", "Repeated request ids that got their first answer", ("method",))
ANSWERS = Counter("closedloop_answers_total", "Answers that may be kept, by where they came from", ("source",))
TOKEN_KEYS = Gauge("closedloop_token_keys", "Keys that may sign callers' tokens")

# The database.
POOL_CONNECTIONS = Gauge("closedloop_pool_connections", "Connections of the pool", ("state",))
POOL_WAITING = Gauge("closedloop_pool_waiting", "Units of work waiting for a connection")
POOL_TIMEOUTS = Gauge("closedloop_pool_timeouts", "Waits for a connection given up since start")

# Events.
OUTBOX_BACKLOG = Gauge("closedloop_outbox_backlog", "Events told here and not yet acknowledged by every consumer")
OUTBOX_LAG = Gauge("closedloop_outbox_lag_seconds", "Age of the oldest of them")
INBOX_BACKLOG = Gauge("closedloop_inbox_backlog", "Events received here and not yet applied")
INBOX_LAG = Gauge("closedloop_inbox_lag_seconds", "Age of the oldest of them")
INBOX_PARKED = Gauge("closedloop_inbox_parked", "Events that could not be applied and wait for a person")
EVENTS_APPLIED = Counter("closedloop_events_applied_total", "Events applied", ("type",))
EVENTS_FAILED = Counter("closedloop_events_failed_total", "Attempts to apply an event that failed", ("type",))
EVENT_SECONDS = Histogram(
    "closedloop_event_delivery_seconds", "From an event's commit at its source to its effect here", ("type",),
    buckets=LATENCY_BUCKETS,
)  # fmt: skip

# Clocks: the same five figures for every time rule.
CLOCKS_OPEN = Gauge("closedloop_clocks_open", "Clocks running or paused", ("kind",))
CLOCKS_MET = Counter("closedloop_clocks_met_total", "Clocks met in time", ("kind",))
CLOCKS_BREACHED = Counter("closedloop_clocks_breached_total", "Clocks that fell due", ("kind",))
CLOCK_OLDEST_OVERDUE = Gauge(
    "closedloop_clock_oldest_overdue_seconds", "How long ago the oldest clock that has not fired fell due", ("kind",)
)
CALENDAR_KNOWN = Gauge(
    "closedloop_calendar_known_seconds", "For how long from now on the holidays of a calendar are known", ("calendar",)
)
CLOCK_TIME_TO_MEET = Histogram(
    "closedloop_clock_time_to_meet_seconds", "From start to met, on the plain clock", ("kind",), buckets=SPAN_BUCKETS
)

# The courier.
COURIER_BROKER_UP = Gauge("closedloop_courier_broker_up", "1 while the courier is connected to the broker")
COURIER_RELAYED = Counter("closedloop_courier_relayed_total", "Events given to the broker, repeats included")
COURIER_RECEIVED = Counter("closedloop_courier_received_total", "Events written into the inbox for the first time")
COURIER_RECEIPTS = Counter("closedloop_courier_receipts_total", "Receipts of consumers struck from the outbox")
COURIER_BATCH = Histogram(
    "closedloop_courier_batch_size", "Events moved at once", ("direction",), buckets=BATCH_BUCKETS
)  # fmt: skip
POLL_SECONDS = Histogram(
    "closedloop_poll_seconds",
    "Runs of a poller, by outcome: error, ok, idle",
    ("poller", "outcome"),
    buckets=LATENCY_BUCKETS,
)
WEBHOOKS = Counter("closedloop_webhooks_total", "Webhooks answered, by HTTP status", ("path", "status"))


def watch_pool(stats: Callable[[], Mapping[str, int]]) -> None:
    """Shows a psycopg pool's `get_stats()`, read when scraped."""
    POOL_CONNECTIONS.labels("free").set_function(lambda: stats().get("pool_available", 0))
    POOL_CONNECTIONS.labels("all").set_function(lambda: stats().get("pool_size", 0))
    POOL_WAITING.set_function(lambda: stats().get("requests_waiting", 0))
    POOL_TIMEOUTS.set_function(lambda: stats().get("requests_errors", 0))
