"""Alerts besides the SLOs, the same for every service: clocks, events, database, broker, pollers, keys.

Each has a page under docs/runbooks of its own name. `SERVICE` in an expression is the service it is made for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Alert:
    name: str
    severity: str
    expr: str
    holds: str
    summary: str

    def rule(self, service: str) -> dict[str, Any]:
        return {
            "alert": self.name,
            "expr": self.expr.replace("SERVICE", f'service="{service}"'),
            "for": self.holds,
            "labels": {"severity": self.severity, "service": service},
            "annotations": {"summary": self.summary, "runbook_url": f"docs/runbooks/{self.name}.md"},
        }


# One template for every time rule there is: kinds come and go with the rulebooks.
CLOCKS = (
    Alert(
        "ClosedloopClockOverdue", "page",
        "max by (service, kind) (closedloop_clock_oldest_overdue_seconds{SERVICE}) > 120", "5m",
        "clocks of {{ $labels.kind }} fell due {{ $value | humanizeDuration }} ago and nothing has happened",
    ),
    Alert(
        "ClosedloopClocksBreached", "ticket",
        # Falling due is a fact of the business; half of everything falling due is one of operation, or of a rule.
        "sum by (service, kind) (increase(closedloop_clocks_breached_total{SERVICE}[6h]))"
        " > sum by (service, kind) (increase(closedloop_clocks_met_total{SERVICE}[6h])"
        " or 0 * increase(closedloop_clocks_breached_total{SERVICE}[6h]))"
        " and sum by (service, kind) (increase(closedloop_clocks_breached_total{SERVICE}[6h])) > 20", "15m",
        "more clocks of {{ $labels.kind }} fell due in six hours than were met",
    ),
)  # fmt: skip

ALERTS = (
    *CLOCKS,
    Alert(
        "ClosedloopCalendarEnds", "ticket",
        # A month: whatever is asked in the last days of the last year that is known is refused.
        "min by (service, calendar) (closedloop_calendar_known_seconds{SERVICE}) < 30 * 24 * 3600", "30m",
        "the holidays of calendar {{ $labels.calendar }} are known for {{ $value | humanizeDuration }} more",
    ),
    Alert(
        "ClosedloopDown", "page",
        "min by (service, process, instance) (up{job=\"closedloop\",SERVICE}) == 0", "3m",
        "{{ $labels.process }} {{ $labels.instance }} of {{ $labels.service }} cannot be scraped",
    ),
    Alert(
        "ClosedloopNoTokenKeys", "page",
        "max by (service, instance) (closedloop_token_keys{SERVICE,process=\"api\"}) == 0", "2m",
        "{{ $labels.instance }} knows no key that signs tokens: every call is refused",
    ),
    Alert(
        "ClosedloopOverloaded", "ticket",
        "sum by (service) (rate(closedloop_rpc_refused_total{SERVICE,reason=\"OVERLOADED\"}[5m])) > 0.1", "10m",
        "{{ $labels.service }} refuses {{ $value | humanize }} calls a second because it has too many",
    ),
    Alert(
        "ClosedloopPoolExhausted", "ticket",
        "sum by (service) (increase(closedloop_pool_timeouts{SERVICE}[10m])) > 3", "5m",
        "work of {{ $labels.service }} waits for connections of its database and gives up",
    ),
    Alert(
        "ClosedloopOutboxLag", "page",
        "max by (service) (closedloop_outbox_lag_seconds{SERVICE}) > 120", "5m",
        "the oldest event of {{ $labels.service }} waits {{ $value | humanizeDuration }} for those it is for",
    ),
    Alert(
        "ClosedloopInboxLag", "page",
        "max by (service) (closedloop_inbox_lag_seconds{SERVICE}) > 120", "5m",
        "the oldest event for {{ $labels.service }} waits {{ $value | humanizeDuration }} to be applied",
    ),
    Alert(
        "ClosedloopEventsParked", "ticket",
        "max by (service) (closedloop_inbox_parked{SERVICE}) > 0", "1m",
        "{{ $value }} events for {{ $labels.service }} could not be applied and wait for a person",
    ),
    Alert(
        "ClosedloopEventsFail", "ticket",
        "sum by (service, type) (increase(closedloop_events_failed_total{SERVICE}[15m])) > 5", "15m",
        "{{ $labels.type }} fails again and again in {{ $labels.service }}",
    ),
    Alert(
        "ClosedloopBrokerAway", "page",
        "max by (service) (closedloop_courier_broker_up{SERVICE}) == 0", "2m",
        "no courier of {{ $labels.service }} reaches the broker",
    ),
    Alert(
        "ClosedloopCourierLinkDown", "ticket",
        "min by (service, instance, link) (closedloop_courier_link_up{SERVICE}) == 0", "10m",
        "{{ $labels.link }} of {{ $labels.instance }} is down",
    ),
    Alert(
        "ClosedloopPollerFails", "ticket",
        "sum by (service, poller) (increase(closedloop_poll_seconds_count{SERVICE,outcome=\"error\"}[15m])) > 3"
        " unless sum by (service, poller) (increase(closedloop_poll_seconds_count{SERVICE,outcome=\"ok\"}[15m])) > 0",
        "15m",
        "{{ $labels.poller }} of {{ $labels.service }} has not succeeded for a while",
    ),
    Alert(
        "ClosedloopPollerAbandoned", "ticket",
        "max by (service, poller) (closedloop_poll_leads{SERVICE}) == 0", "5m",
        "no replica of {{ $labels.service }} runs {{ $labels.poller }}",
    ),
)  # fmt: skip


def group(service: str) -> Iterator[dict[str, Any]]:
    yield {"name": f"closedloop-{service}", "rules": [alert.rule(service) for alert in ALERTS]}
