"""Is what was promised kept? Every clock of the business, and every objective of the contracts."""

from __future__ import annotations

from typing import Any

from closedloop_operations.dashboards.panels import Panel, board

MET = "increase(closedloop_clocks_met_total{WHO}[$__range])"
BREACHED = "increase(closedloop_clocks_breached_total{WHO}[$__range])"


def dashboard() -> Any:
    return board(
        "closedloop-promises",
        "Closedloop / Promises",
        "Every clock (time rule of the business) and every service level objective of the contracts.",
        ["promises"],
        "",
        [
            (
                "Clocks",
                [
                    Panel(
                        "Met in time", "Share of the clocks that ended within the time shown and were met.", "percentunit",
                        [(f"sum({MET}) / (sum({MET}) + (sum({BREACHED}) or vector(0)))", "met")], single=True, width=6,
                    ),
                    Panel(
                        "Open", "Clocks running or paused, of all services.", "short",
                        [("sum(max by (service, kind) (closedloop_clocks_open{WHO}))", "open")], single=True, width=6,
                    ),
                    Panel(
                        "Oldest overdue", "How long ago the oldest clock fell due that nothing has been done about.", "s",
                        [("max(closedloop_clock_oldest_overdue_seconds{WHO})", "overdue")], single=True, width=6,
                    ),
                    Panel(
                        "Alerts", "Alerts of Closedloop that fire now.", "short",
                        [('count(ALERTS{alertname=~"Closedloop.+",alertstate="firing"}) or vector(0)', "firing")],
                        single=True, width=6,
                    ),
                    # Every replica reads them from the same database, hence the greatest and not the sum.
                    Panel("Open by kind", "Clocks running or paused.", "short",
                          [("max by (service, kind) (closedloop_clocks_open{WHO})", "{{service}} {{kind}}")]),
                    Panel("Met by kind", "Clocks met in time, a second.", "ops",
                          [("sum by (service, kind) (rate(closedloop_clocks_met_total{WHO}[$__rate_interval]))",
                            "{{service}} {{kind}}")]),
                    Panel("Fell due by kind", "Clocks that fell due before they were met, a second.", "ops",
                          [("sum by (service, kind) (rate(closedloop_clocks_breached_total{WHO}[$__rate_interval])) or vector(0)",
                            "{{service}} {{kind}}")]),
                    Panel(
                        "Time to respond", "From start to met on the plain clock: half of them, and 95 of 100.", "s",
                        [
                            (f"histogram_quantile({share}, sum by (kind, le) "
                             "(increase(closedloop_clock_time_to_meet_seconds_bucket{WHO}[$__range])))", f"{{{{kind}}}} p{name}")
                            for share, name in ((0.5, 50), (0.95, 95))
                        ], width=16,
                    ),
                    Panel("Overdue by kind", "How long ago the oldest clock fell due that has not fired yet.", "s",
                          [("max by (service, kind) (closedloop_clock_oldest_overdue_seconds{WHO})", "{{service}} {{kind}}")]),
                ],
            ),
            (
                "Objectives of the contracts",
                [
                    Panel("Budget left",
                          "Of 30 days, by objective: what the worst RPC has left. Below nought the promise is broken.",
                          "percentunit",
                          [('min by (service, sloth_slo) (slo:period_error_budget_remaining:ratio{service=~".+"})',
                            "{{service}} {{sloth_slo}}")], width=12),
                    Panel("Burn rate",
                          "How many times faster than allowed the budget goes, in the last hour, of the worst RPC.", "x",
                          [("max by (service, sloth_slo) (slo:sli_error:ratio_rate1h"
                            " / on (sloth_id) group_left () slo:error_budget:ratio)", "{{service}} {{sloth_slo}}")], width=12),
                    Panel("Calls", "Calls answered, a second.", "reqps",
                          [("sum by (service) (rate(closedloop_rpc_seconds_count{WHO}[$__rate_interval]))", "{{service}}")]),
                    Panel("Server's faults", "Calls that failed through no fault of the caller, a second.", "reqps",
                          [('sum by (service) (rate(closedloop_rpc_seconds_count{WHO,code=~"DATA_LOSS|DEADLINE_EXCEEDED|INTERNAL'
                            '|UNAVAILABLE|UNKNOWN"}[$__rate_interval])) or vector(0)', "{{service}}")]),
                    Panel("Slowest hundredth", "99 of 100 calls that succeed are answered within.", "s",
                          [('histogram_quantile(0.99, sum by (service, le) (rate(closedloop_rpc_seconds_bucket{WHO,code="OK"}'
                            "[$__rate_interval])))", "{{service}}")]),
                ],
            ),
        ],
    )  # fmt: skip
