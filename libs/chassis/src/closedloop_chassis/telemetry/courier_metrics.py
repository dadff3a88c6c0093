"""What a courier counts besides `metrics.COURIER_*`, `metrics.POLL_SECONDS` and `metrics.WEBHOOKS`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from closedloop_chassis.telemetry.metrics import LATENCY_BUCKETS

LINK_UP = Gauge("closedloop_courier_link_up", "1 while the connection to a server stands", ("link",))
BATCH_SECONDS = Histogram(
    "closedloop_courier_batch_seconds", "One batch to the broker (out) or into the inbox (in)", ("direction",),
    buckets=LATENCY_BUCKETS,
)  # fmt: skip
TOLD_AGAIN = Counter("closedloop_courier_told_again_total", "Events sent again because somebody did not acknowledge")
NOT_TOLD = Counter("closedloop_courier_not_told_total", "Events the broker did not take; they are sent again")
CLOSED = Counter("closedloop_courier_closed_total", "Events that every consumer has acknowledged")
DUPLICATES = Counter("closedloop_courier_duplicates_total", "Events received that were in the inbox already")
UNREADABLE = Counter("closedloop_courier_unreadable_total", "Messages parked because they could not be read")
OBSERVED = Counter("closedloop_courier_observed_total", "Observations from outside, new in the inbox")
SUBSCRIBERS = Counter(
    "closedloop_webhook_attempts_total", "Attempts at subscribers of our events: taken, waiting for another, given_up, stopped",
    ("outcome",),
)  # fmt: skip
OPEN_CIRCUITS = Gauge(
    "closedloop_source_circuit_open", "1 where an outside system has failed so often that calls wait", ("source", "poll"),
)  # fmt: skip
POLL_LEADS = Gauge("closedloop_poll_leads", "1 where this replica runs the poller", ("poller",))
