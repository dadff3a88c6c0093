"""Every alert, by promtool: it fires on what it is for, and is silent otherwise."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from closedloop_chassis.contract import Method
from closedloop_chassis.telemetry import courier_metrics, metrics
from closedloop_devstack.testing.notices import lack
from closedloop_operations import alerts, burn, objectives, prometheus
from closedloop_operations.environment import SERVICES

from .charts import SOURCES

SERVICE = "approvals"
# (alert, severity), and with the method it is about
Firing = set[tuple[str, str]]
Named = tuple[str, str, str]
FIRING = 'count by (alertname, severity, method) (ALERTS{alertstate="firing"})'


@pytest.fixture(scope="session", autouse=True)
def _promtool(pytestconfig: pytest.Config) -> None:
    prometheus.main()
    if not prometheus.found():
        lack(pytestconfig, prometheus.LACKING)


def promtool(
    series: dict[str, str], firing: dict[int, set[Named]], folder: Path, *, groups: str, step: str = "1m"
) -> None:
    """Feeds `series` (promtool's notation, a value a step) to the rule groups whose names match, and compares which
    (alert, severity, method) fire at which minute."""
    rules = yaml.safe_load((SOURCES / SERVICE / "observability" / "rules.yaml").read_text())
    chosen = [group for group in rules["groups"] if re.search(groups, group["name"])]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": chosen}, width=10_000))
    test = {
        "interval": step,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": FIRING,
                "eval_time": f"{minute}m",
                "exp_samples": [{"labels": _labels(*one), "value": 1} for one in sorted(expected)],
            }
            for minute, expected in firing.items()
        ],
    }
    document = {"rule_files": ["rules.yaml"], "evaluation_interval": step, "tests": [test]}
    (folder / "test.yaml").write_text(yaml.safe_dump(document, sort_keys=False, width=10_000))
    done = subprocess.run(
        ["promtool", "test", "rules", str(folder / "test.yaml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]


def _labels(name: str, severity: str, method: str) -> str:
    of = f', method="{method}"' if method else ""
    return f'{{alertname="{name}", severity="{severity}"{of}}}'


class Calls:
    """Counters of one RPC, told in stretches of (steps, calls a step, share that fails, share that is slow)."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, float, float]] = []

    def go(self, steps: int, calls: float, fail: float = 0.0, slow: float = 0.0) -> Calls:
        self.steps += [(calls * (1 - fail), calls * fail, calls * (1 - fail) * (1 - slow))] * steps
        return self

    def series(self, of: Method, service: str, code: str, reset_at: int) -> dict[str, str]:
        labels = f'service="{service}",process="api",instance="a",method="{of.full_name}"'
        names = (
            f'closedloop_rpc_seconds_count{{{labels},code="OK"}}',
            f'closedloop_rpc_seconds_count{{{labels},code="{code}"}}',
            f'closedloop_rpc_seconds_bucket{{{labels},code="OK",le="{of.latency_p99}"}}',
        )
        return {name: " ".join(self._counted(column, reset_at)) for column, name in enumerate(names)}

    def _counted(self, column: int, reset_at: int) -> Iterator[str]:
        total = 0.0
        for step, moved in enumerate(self.steps):
            total = moved[column] if reset_at and step == reset_at else total + moved[column]
            yield f"{total:.8g}"


@dataclass
class Story:
    """What happens to one RPC, and which of its alerts fire at which minute."""

    name: str
    calls: Calls
    firing: dict[int, Firing]
    availability: float = 0.999
    service: str = SERVICE
    code: str = "INTERNAL"
    # The process starts again at that step, and counts from nought.
    reset_at: int = 0


def tell(stories: list[Story], folder: Path, *, step: str, groups: str = "^sloth") -> None:
    """All stories at once, each of an RPC of its own."""
    free = [method for method in objectives.methods(SERVICE) if not method.streams]
    series: dict[str, str] = {}
    told: dict[str, Story] = {}
    for story in stories:
        of = next(m for m in free if m.availability == story.availability and m.full_name not in told)
        told[of.full_name] = story
        series |= story.calls.series(of, story.service, story.code, story.reset_at)
    [minutes] = {tuple(story.firing) for story in stories}
    firing = {
        minute: {(alert, severity, name) for name, story in told.items() for alert, severity in story.firing[minute]}
        for minute in minutes
    }
    promtool(series, firing, folder, groups=groups, step=step)


PAGE, TICKET = ("ClosedloopAvailability", "page"), ("ClosedloopAvailability", "ticket")
SLOW_PAGE, SLOW_TICKET = ("ClosedloopLatency", "page"), ("ClosedloopLatency", "ticket")


@pytest.mark.timeout(600)
def test_objectives_within_hours(tmp_path: Path) -> None:
    """A step is a minute; all begins well, something happens from minute 120 to 140."""

    def at(during: Firing, after: Firing, later: Firing) -> dict[int, Firing]:
        return {119: set(), 138: during, 144: after, 200: later}

    silent = at(set(), set(), set())
    tell(
        [
            Story("healthy", Calls().go(240, 60), silent),
            # Its failures leave the short windows soon; what they cost is still worth a ticket.
            Story(
                "half of the calls fail",
                Calls().go(120, 60).go(20, 60, fail=0.5).go(100, 60),
                at({PAGE, TICKET}, {PAGE, TICKET}, {TICKET}),
            ),
            # Too little to wake somebody, too much to be forgotten.
            Story(
                "one in forty fails",
                Calls().go(120, 60).go(20, 60, fail=0.025).go(100, 60),
                at({TICKET}, {TICKET}, {TICKET}),
            ),
            Story(
                "one in forty fails where less is promised to fail",
                Calls().go(120, 600).go(20, 600, fail=0.025).go(100, 600),
                at({PAGE, TICKET}, {PAGE, TICKET}, {TICKET}),
                availability=0.9995,
            ),
            Story(
                "one in twenty fails of what may fail more often",
                Calls().go(120, 60).go(20, 60, fail=0.05).go(100, 60),
                silent,
                availability=0.99,
            ),
            Story("nobody calls", Calls().go(240, 0), silent),
            Story("traffic ends", Calls().go(120, 60).go(120, 0), silent),
            Story("calls of another service", Calls().go(120, 60).go(120, 60, fail=1), silent, service="other"),
            Story("the caller's own mistakes", Calls().go(120, 60).go(120, 60, fail=1), silent, code="NOT_FOUND"),
            Story(
                "a process starts again and counts from nought", Calls().go(240, 600, fail=0.0005), silent, reset_at=130
            ),
            Story("four of ten calls fail, all day", Calls().go(125, 0).go(4, 1, fail=1).go(6, 1).go(105, 0), silent),
            Story(
                "slow for a while",
                Calls().go(120, 60).go(20, 60, slow=0.9).go(100, 60),
                at({SLOW_PAGE, SLOW_TICKET}, {SLOW_PAGE, SLOW_TICKET}, {SLOW_TICKET}),
            ),
            Story("one in a hundred and fifty is slow", Calls().go(240, 60, slow=0.0066), silent),
        ],
        tmp_path,
        step="1m",
    )


@pytest.mark.timeout(600)
def test_objectives_within_days(tmp_path: Path) -> None:
    """A step is five minutes, 300 calls in each: slow burns, and what may go on for ever."""
    day = 24 * 60
    steps = day // 5

    def at(third: Firing, fourth: Firing, end: Firing) -> dict[int, Firing]:
        """After 2.5, 3.4 and 3.9 days."""
        return {2 * day + 720: third, 3 * day + 570: fourth, 3 * day + 1300: end}

    tell(
        [
            Story(
                "nine tenths of the budget",
                Calls().go(4 * steps, 300, fail=0.0009, slow=0.009),
                at(set(), set(), set()),
            ),
            Story("twice the budget", Calls().go(4 * steps, 300, fail=0.002), at({TICKET}, {TICKET}, {TICKET})),
            Story(
                "four times the budget on the fourth day, a ticket once a tenth of the month's is gone",
                Calls().go(3 * steps, 300).go(steps, 300, fail=0.004),
                at(set(), set(), {TICKET}),
            ),
            Story(
                "nine times the budget on the fourth day",
                Calls().go(3 * steps, 300).go(steps, 300, fail=0.009),
                at(set(), {PAGE, TICKET}, {PAGE, TICKET}),
            ),
            Story(
                "twice as slow as allowed",
                Calls().go(4 * steps, 300, slow=0.02),
                at({SLOW_TICKET}, {SLOW_TICKET}, {SLOW_TICKET}),
            ),
            Story("nobody calls for days", Calls().go(4 * steps, 0), at(set(), set(), set())),
        ],
        tmp_path,
        step="5m",
        groups="(availability-99.9|latency)$",
    )


# Of every other alert: what makes it fire, what comes near and does not, and after how many minutes.
L = f'service="{SERVICE}",process="api",instance="a"'
C = f'service="{SERVICE}",process="courier",instance="c"'
NAMED: dict[str, tuple[list[dict[str, str]], list[dict[str, str]]]] = {
    "ClosedloopClockOverdue": (
        [{f'closedloop_clock_oldest_overdue_seconds{{{L},kind="approvals.decision"}}': "0x5 60+60x55"}],
        # The sweep is late for a moment; a clock is overdue that nobody has any more.
        [
            {f'closedloop_clock_oldest_overdue_seconds{{{L},kind="approvals.decision"}}': "0x10 300 300 0x40"},
            {f'closedloop_clock_oldest_overdue_seconds{{{L},kind="approvals.decision"}}': "0x60"},
        ],
    ),
    "ClosedloopClocksBreached": (
        [
            {
                f'closedloop_clocks_breached_total{{{L},kind="k"}}': "0+2x120",
                f'closedloop_clocks_met_total{{{L},kind="k"}}': "0+1x120",
            },
            # None met at all: that counter has never been seen.
            {f'closedloop_clocks_breached_total{{{L},kind="k"}}': "0+2x120"},
        ],
        [
            {
                f'closedloop_clocks_breached_total{{{L},kind="k"}}': "0+1x120",
                f'closedloop_clocks_met_total{{{L},kind="k"}}': "0+2x120",
            },
            # A handful is a Tuesday, not an incident.
            {f'closedloop_clocks_breached_total{{{L},kind="k"}}': "0x10 5x110"},
            # The process starts again.
            {
                f'closedloop_clocks_breached_total{{{L},kind="k"}}': "500+0x50 0x70",
                f'closedloop_clocks_met_total{{{L},kind="k"}}': "900+1x50 0+1x70",
            },
        ],
    ),
    "ClosedloopCalendarEnds": (
        # Thirty days are left, and thirty-one; a replica that has not heard of the new year's days yet is a moment behind.
        [{f'closedloop_calendar_known_seconds{{{L},calendar="business"}}': "2592000-60x60"}],
        [
            {f'closedloop_calendar_known_seconds{{{L},calendar="business"}}': "2678400-60x60"},
            {f'closedloop_calendar_known_seconds{{{L},calendar="business"}}': "2592000-60x10 34128000x49"},
        ],
    ),
    "ClosedloopDown": (
        [{f'up{{job="closedloop",{L}}}': "1x5 0x60"}],
        [{f'up{{job="closedloop",{L}}}': "1x5 0x1 1x60"}, {f'up{{job="other",{L}}}': "0x60"}],
    ),
    "ClosedloopNoTokenKeys": (
        [{f"closedloop_token_keys{{{L}}}": "0x60"}],
        # A courier has none and needs none.
        [{f"closedloop_token_keys{{{C}}}": "0x60"}, {f"closedloop_token_keys{{{L}}}": "0x1 2x60"}],
    ),
    "ClosedloopOverloaded": (
        [{f'closedloop_rpc_refused_total{{{L},reason="OVERLOADED"}}': "0+60x60"}],
        # One caller who comes too often is told so, and nobody else.
        [
            {f'closedloop_rpc_refused_total{{{L},reason="RATE_EXCEEDED"}}': "0+600x60"},
            {f'closedloop_rpc_refused_total{{{L},reason="OVERLOADED"}}': "0x10 50x50"},
        ],
    ),
    "ClosedloopPoolExhausted": (
        [{f"closedloop_pool_timeouts{{{L}}}": "0+2x60"}],
        [{f"closedloop_pool_timeouts{{{L}}}": "0x20 2x40"}, {f"closedloop_pool_timeouts{{{L}}}": "900x20 0x40"}],
    ),
    "ClosedloopOutboxLag": (
        [{f"closedloop_outbox_lag_seconds{{{L}}}": "0x5 0+60x55"}],
        [{f"closedloop_outbox_lag_seconds{{{L}}}": "0x5 300x3 0x50"}],
    ),
    "ClosedloopInboxLag": (
        [{f"closedloop_inbox_lag_seconds{{{L}}}": "0x5 0+60x55"}],
        [{f"closedloop_inbox_lag_seconds{{{L}}}": "0x5 300x3 0x50"}],
    ),
    "ClosedloopEventsParked": (
        [{f"closedloop_inbox_parked{{{L}}}": "0x5 1x55"}],
        [{f"closedloop_inbox_parked{{{L}}}": "0x60"}],
    ),
    "ClosedloopEventsFail": (
        [{f'closedloop_events_failed_total{{{L},type="t"}}': "0+1x60"}],
        [{f'closedloop_events_failed_total{{{L},type="t"}}': "0x20 3x40"}],
    ),
    "ClosedloopBrokerAway": (
        [{f"closedloop_courier_broker_up{{{C}}}": "1x5 0x55"}],
        # One of two has lost it for a while.
        [
            {
                f"closedloop_courier_broker_up{{{C}}}": "1x5 0x55",
                f"closedloop_courier_broker_up{{{C}}}".replace('"c"', '"d"'): "1x60",
            }
        ],
    ),
    "ClosedloopCourierLinkDown": (
        [{f'closedloop_courier_link_up{{{C},link="broker, telling"}}': "1x5 0x55"}],
        [{f'closedloop_courier_link_up{{{C},link="broker, telling"}}': "1x5 0x5 1x50"}],
    ),
    "ClosedloopPollerFails": (
        [{f'closedloop_poll_seconds_count{{{C},poller="mail",outcome="error"}}': "0+1x60"}],
        [
            {
                f'closedloop_poll_seconds_count{{{C},poller="mail",outcome="error"}}': "0+1x60",
                f'closedloop_poll_seconds_count{{{C},poller="mail",outcome="ok"}}': "0+1x60",
            }
        ],
    ),
    "ClosedloopPollerAbandoned": (
        [{f'closedloop_poll_leads{{{C},poller="mail"}}': "0x60"}],
        # One replica runs it, the other waits.
        [
            {
                f'closedloop_poll_leads{{{C},poller="mail"}}': "0x60",
                f'closedloop_poll_leads{{{C},poller="mail"}}'.replace('"c"', '"d"'): "1x60",
            }
        ],
    ),
}  # fmt: skip


def test_every_other_alert(tmp_path: Path) -> None:
    severities = {alert.name: alert.severity for alert in alerts.ALERTS}
    assert set(NAMED) == set(severities), "every alert has its stories"
    fires = [(name, series) for name, (firing, _) in NAMED.items() for series in firing]
    silent = [(name, series) for name, (_, quiet) in NAMED.items() for series in quiet]
    for told in _together(fires):
        expected = {(name, severities[name], "") for name, _ in told}
        promtool(_series(told), {58: expected}, tmp_path, groups="^closedloop")
    for told in _together(silent):
        promtool(_series(told), {minute: set() for minute in (8, 14, 25, 40, 58)}, tmp_path, groups="^closedloop")


Told = list[tuple[str, dict[str, str]]]


def _together(stories: Told) -> list[Told]:
    """Stories that share no series are told in one go."""
    rounds: list[Told] = []
    for name, series in stories:
        for told in rounds:
            if not {*series} & {*_series(told)} and name not in dict(told):
                told.append((name, series))
                break
        else:
            rounds.append([(name, series)])
    return rounds


def _series(told: Told) -> dict[str, str]:
    return {name: values for _, series in told for name, values in series.items()}


def test_a_story_that_is_not_true_is_noticed(tmp_path: Path) -> None:
    [fires, *_] = NAMED["ClosedloopDown"][0]
    with pytest.raises(AssertionError, match="ClosedloopDown"):
        promtool(fires, {58: set()}, tmp_path, groups="^closedloop")


@pytest.mark.parametrize("service", SERVICES)
def test_rules_are_in_order(service: str) -> None:
    path = SOURCES / service / "observability" / "rules.yaml"
    done = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout + done.stderr
    rules = [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
    for rule in rules:
        if "alert" in rule:
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert rule["annotations"]["summary"]


def test_alerts_speak_of_metrics_that_exist() -> None:
    exported = set(
        re.findall(r'"(closedloop_\w+)"', "".join(Path(m.__file__).read_text() for m in (metrics, courier_metrics)))
    )
    for alert in alerts.ALERTS:
        for name in re.findall(r"closedloop_\w+", alert.expr.replace('"closedloop"', "")):
            base = re.sub(r"_(count|bucket|sum)$", "", name)
            assert {name, base} & exported, f"{alert.name} asks for {name}"


def test_every_promise_is_measured() -> None:
    """Each RPC stands in exactly one availability objective and, unless it streams, in the latency objective once."""
    for service in SERVICES:
        specification = objectives.specification(service)
        queries: dict[str, Any] = {slo["name"]: slo["sli"]["events"] for slo in specification["slos"]}
        for method in objectives.methods(service):
            matched = [name for name, events in queries.items() if _covers(events["total_query"], method)]
            expected = [
                f"availability-{objectives.percent(method.availability)}",
                *([] if method.streams else ["latency"]),
            ]
            assert sorted(matched) == sorted(expected), method.full_name
            if not method.streams:
                bounds = [
                    bound
                    for matchers, bound in re.findall(
                        r'bucket\{(.*?),code="OK",le="([0-9.]+)"\}', queries["latency"]["error_query"]
                    )
                    if _covers(f"{{{matchers}}}", method)
                ]
                assert bounds == [str(method.latency_p99)], method.full_name
            assert method.latency_p99 in metrics.LATENCY_BUCKETS, f"{method.full_name}: its bound is no bucket"


def _covers(query: str, method: Method) -> bool:
    wanted = re.search(r'method=~"([^"]*)"', query)
    refused = re.search(r'method!~"([^"]*)"', query)
    return bool(
        wanted
        and re.fullmatch(wanted[1], method.full_name)
        and not (refused and re.fullmatch(refused[1], method.full_name))
    )


def test_windows_are_those_of_the_workbook() -> None:
    """Each pair fires once the share of the 30-day budget that the workbook names is gone."""
    hours = {"5m": 1 / 12, "30m": 0.5, "1h": 1, "2h": 2, "6h": 6, "1d": 24, "3d": 72}
    gone = {factor * hours[long] / (30 * 24) for burns in burn.BURNS.values() for factor, long, _ in burns}
    assert {round(share, 3) for share in gone} == {0.02, 0.05, 0.1}
    for burns in burn.BURNS.values():
        for _, long, short in burns:
            assert hours[long] / hours[short] == 12
