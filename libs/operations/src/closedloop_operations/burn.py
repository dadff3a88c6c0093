"""Recording and alerting rules out of sloth specifications: multi-window, multi-burn-rate.

The windows and factors are those of the SRE workbook, chapter 5, for a period of 30 days: 14.4 over 1 h and 5 min (2 % of
the budget gone), 6 over 6 h and 30 min (5 %) page; 3 over 1 d and 2 h (10 %), 1 over 3 d and 6 h (10 %) make a ticket.
Names of series are sloth's, so that dashboards made for it work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from closedloop_operations.objectives import PERIOD_DAYS

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
# (factor, long window, short window)
BURNS = {
    "page": ((14.4, "1h", "5m"), (6, "6h", "30m")),
    "ticket": ((3, "1d", "2h"), (1, "3d", "6h")),
}
RATIO = "slo:sli_error:ratio_rate"


def groups(specification: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Prometheus rule groups, two per SLO: what is recorded, and what is alerted on."""
    for slo in specification["slos"]:
        who = f"{specification['service']}-{slo['name']}"
        labels = {
            **specification["labels"],
            "sloth_id": who,
            "sloth_service": specification["service"],
            "sloth_slo": slo["name"],
        }
        yield {"name": f"sloth-slo-sli-recordings-{who}", "rules": [*_recordings(slo, labels)]}
        yield {"name": f"sloth-slo-alerts-{who}", "rules": [*_alerts(slo, labels)]}


def _recordings(slo: dict[str, Any], labels: dict[str, str]) -> Iterator[dict[str, Any]]:
    events = slo["sli"]["events"]
    for window in WINDOWS:
        bad, all_ = (events[query].replace("{{.window}}", window) for query in ("error_query", "total_query"))
        yield {
            "record": f"{RATIO}{window}",
            "expr": f"({bad})\n/\n({all_})",
            "labels": {**labels, "sloth_window": window},
        }
    who = f'sloth_id="{labels["sloth_id"]}"'
    period = f"{PERIOD_DAYS}d"
    budget = _number(1 - slo["objective"] / 100)
    yield {
        "record": f"{RATIO}{period}",
        "expr": f"avg_over_time({RATIO}5m{{{who}}}[{period}])",
        "labels": {**labels, "sloth_window": period},
    }
    yield {"record": "slo:error_budget:ratio", "expr": f"vector({budget})", "labels": labels}
    yield {
        "record": "slo:period_error_budget_remaining:ratio",
        "expr": f"1 - {RATIO}{period}{{{who}}} / {budget}",
        "labels": labels,
    }


def _alerts(slo: dict[str, Any], labels: dict[str, str]) -> Iterator[dict[str, Any]]:
    alerting = slo["alerting"]
    budget = 1 - slo["objective"] / 100
    who = f'sloth_id="{labels["sloth_id"]}"'
    for severity, burns in BURNS.items():
        burning = "\nor\n".join(
            " and ".join(
                f"max without (sloth_window) ({RATIO}{window}{{{who}}}) > {_number(factor * budget)}"
                for window in (long, short)
            )
            for factor, long, short in burns
        )
        yield {
            "alert": alerting["name"],
            "expr": burning,
            "labels": {**labels, "sloth_severity": severity, **alerting[f"{severity}_alert"]["labels"]},
            "annotations": alerting["annotations"],
        }


def _number(share: float) -> str:
    return f"{share:.8f}".rstrip("0")
