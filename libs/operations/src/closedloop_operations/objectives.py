"""What the contracts promise of every RPC, as specifications in sloth's format (prometheus/v1): one file per service.

Availability: calls that do not fail through the server's fault. Latency: 99 % of the calls answered OK are answered
within the RPC's own bound. Streams promise availability only: they last as long as somebody listens.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from closedloop_chassis import contract, packages
from closedloop_chassis.contract import Method

PERIOD_DAYS = 30
# What a caller can do nothing about. RESOURCE_EXHAUSTED has an alert of its own: it may be the caller's doing.
SERVERS_FAULT = ("DATA_LOSS", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "UNKNOWN")
LATENCY_OBJECTIVE = 0.99
FASTEST_BURN, FASTEST_WINDOW_SECONDS = 14.4, 3600
# A method seldom called is judged as though it were called often enough that fewer failures in an hour page nobody.
FEWEST_FAILURES = 5


def methods(service: str) -> list[Method]:
    """Every RPC that the service serves in production: its own and the platform's."""
    names = [*packages.services(f"closedloop.{service}.v1"), *packages.services(packages.PLATFORM)]
    return [method for name in names if name != packages.DEVELOPMENT for method in contract.methods(name)]


def specification(service: str) -> dict[str, Any]:
    """The sloth document of a service. `{{.window}}` stands where a window belongs."""
    served = methods(service)
    by_availability: dict[float, list[Method]] = defaultdict(list)
    for method in served:
        by_availability[method.availability].append(method)
    slos = [_availability(service, objective, of) for objective, of in sorted(by_availability.items())]
    slos.append(_latency(service, [method for method in served if not method.streams]))
    return {
        "version": "prometheus/v1",
        "service": f"closedloop-{service}",
        "labels": {"service": service},
        "slos": slos,
    }


def percent(share: float) -> str:
    """0.9995 as "99.95"."""
    return f"{share * 100:.4f}".rstrip("0").rstrip(".")


def _availability(service: str, objective: float, of: Iterable[Method]) -> dict[str, Any]:
    chosen = _chosen(service, of)
    failed = f'closedloop_rpc_seconds_count{{{chosen},code=~"{"|".join(SERVERS_FAULT)}"}}'
    name = f"availability-{percent(objective)}"
    return {
        "name": name,
        "objective": float(percent(objective)),
        "description": f"{percent(objective)} % of calls do not fail through the fault of {service}.",
        "sli": _events(
            # Where nothing has failed yet there is no such series, and nothing is not nought.
            f"sum by (method) (rate({failed}[{{{{.window}}}}])) "
            f"or 0 * sum by (method) (rate(closedloop_rpc_seconds_count{{{chosen}}}[{{{{.window}}}}]))",
            f"sum by (method) (rate(closedloop_rpc_seconds_count{{{chosen}}}[{{{{.window}}}}]))",
            objective,
        ),
        "alerting": _alerting("ClosedloopAvailability", "{{ $labels.method }} fails more often than it promises"),
    }


def _latency(service: str, of: Iterable[Method]) -> dict[str, Any]:
    by_bound: dict[float, list[Method]] = defaultdict(list)
    for method in of:
        by_bound[method.latency_p99].append(method)
    within = " or ".join(
        f'rate(closedloop_rpc_seconds_bucket{{{_chosen(service, some)},code="OK",le="{bound}"}}[{{{{.window}}}}])'
        for bound, some in sorted(by_bound.items())
    )
    everything = [method for some in by_bound.values() for method in some]
    total = f'sum by (method) (rate(closedloop_rpc_seconds_count{{{_chosen(service, everything)},code="OK"}}[{{{{.window}}}}]))'
    return {
        "name": "latency",
        "objective": float(percent(LATENCY_OBJECTIVE)),
        "description": f"{percent(LATENCY_OBJECTIVE)} % of the calls of {service} that succeed do so within their bound.",
        "sli": _events(f"{total} - sum by (method) ({within})", total, LATENCY_OBJECTIVE),
        "alerting": _alerting("ClosedloopLatency", "{{ $labels.method }} is slower than it promises"),
    }


def _chosen(service: str, of: Iterable[Method]) -> str:
    """Label matchers of these methods: named, or, where they are most of what the service serves, all but the others."""
    chosen, served = list(of), methods(service)
    if 2 * len(chosen) <= len(served):
        return f'service="{service}",method=~"{_names(chosen)}"'
    others = [method for method in served if method not in chosen]
    but = f',method!~"{_names(others)}"' if others else ""
    return f'service="{service}",method=~"closedloop.+"{but}'


def _names(of: Iterable[Method]) -> str:
    """A pattern of literals only: Prometheus looks those up, and tries any other one on every method there is."""
    by_service: dict[str, list[str]] = defaultdict(list)
    for method in of:
        by_service[method.service].append(method.name)
    return "|".join(
        f"{service}.({'|'.join(sorted(names))})".replace(".", "[.]") for service, names in sorted(by_service.items())
    )


def _events(errors: str, total: str, objective: float) -> dict[str, Any]:
    floor = FEWEST_FAILURES / (FASTEST_BURN * (1 - objective) * FASTEST_WINDOW_SECONDS)
    return {"events": {"error_query": errors, "total_query": f"clamp_min({total}, {floor:.4g})"}}


def _alerting(name: str, summary: str) -> dict[str, Any]:
    return {
        "name": name,
        "annotations": {"summary": summary, "runbook_url": f"docs/runbooks/{name}.md"},
        "page_alert": {"labels": {"severity": "page"}},
        "ticket_alert": {"labels": {"severity": "ticket"}},
    }
