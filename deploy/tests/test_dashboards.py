"""Dashboards: the rules of Grafana's dashboard-linter, and every panel's query against a platform at work."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from closedloop_devstack import ports
from closedloop_devstack.platform import Options, Platform
from closedloop_devstack.platform.layout import SIZE
from closedloop_devstack.ports import LOOPBACK
from closedloop_devstack.testing.notices import lack
from closedloop_operations import artifacts, prometheus, sql
from closedloop_operations.environment import SERVICES
from closedloop_operations.prometheus import Prometheus
from closedloop_proofs import loop
from closedloop_proofs.loop import Stage, found_company

from .charts import SOURCES

ROOT = SOURCES.parents[1]
EVERY = {path.stem: json.loads(path.read_text()) for path in sorted(SOURCES.glob("*/observability/dashboards/*.json"))}
# Those over SQL have rules of their own: test_reports.py.
BOARDS = {name: board for name, board in EVERY.items() if name not in sql.NAMES}
COUNTERS = re.compile(r"closedloop_\w+(?:_total|_count|_bucket|_sum)\b|process_cpu_seconds_total")
TURNS = 3


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", ())
        else:
            yield panel


def queries() -> list[tuple[str, str, str]]:
    """Board, panel and expression of every target."""
    return [
        (name, panel["title"], target["expr"])
        for name, board in BOARDS.items()
        for panel in panels(board)
        for target in panel["targets"]
    ]


def test_everything_made_is_as_it_would_be_made_now() -> None:
    for path, text in artifacts.everything(ROOT).items():
        assert (ROOT / path).read_text() == text, f"{path}: run `make observability`"


def test_there_is_one_for_every_service_one_for_the_promises_and_two_of_the_business() -> None:
    assert set(EVERY) == {*SERVICES, "promises", *sql.NAMES}
    assert len({board["uid"] for board in EVERY.values()}) == len(EVERY)
    assert len({board["title"] for board in EVERY.values()}) == len(EVERY)


@pytest.mark.parametrize("name", BOARDS)
def test_the_linters_rules(name: str) -> None:
    board = BOARDS[name]
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    # template-datasource-rule, template-job-rule, template-instance-rule, template-on-time-change-reload-rule
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    for label in ("job", "instance"):
        variable = variables[label]
        assert variable["datasource"]["uid"] == "${datasource}"
        assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".+")
        assert variable["refresh"] == 2
        assert variable["label"]
    # uneditable-dashboard-rule
    assert board["editable"] is False
    shown = list(panels(board))
    assert len(shown) > 10
    # A panel that stands twice under one title is a panel too many.
    assert len({panel["title"] for panel in shown}) == len(shown)
    for panel in shown:
        where = f"{name}, {panel['title']}"
        # panel-datasource-rule, panel-title-description-rule, panel-units-rule, panel-no-targets-rule
        assert panel["datasource"]["uid"] == "${datasource}", where
        assert panel["title"], where
        assert panel["description"].endswith("."), where
        assert panel["fieldConfig"]["defaults"]["unit"], where
        assert panel["targets"], where
        assert panel["gridPos"]["w"] <= 24
        for target in panel["targets"]:
            _target(target["expr"], where)


def _target(expression: str, where: str) -> None:
    # target-rate-interval-rule, target-counter-agg-rule, target-job-rule, target-instance-rule
    for window in re.findall(r"\[([^\]]+)\]", expression):
        assert window in ("$__rate_interval", "$__range"), f"{where}: {window}"
    for counter in COUNTERS.finditer(expression):
        before = expression[: counter.start()]
        assert re.search(r"(rate|increase)\($", before), f"{where}: {counter[0]} is not a rate"
    for name, matchers in re.findall(r"\b((?:closedloop|process)_\w+)(\{[^}]*\})?", expression):
        for matcher in ('job=~"$job"', 'instance=~"$instance"'):
            assert matcher in matchers, f"{where}: {name} of everybody"


@pytest.mark.timeout(540)
def test_every_panel_shows_something(session_folder: Path, pytestconfig: pytest.Config) -> None:
    """Five services at work and a real Prometheus with the committed rules: no query returns nothing."""
    prometheus.main()
    if not prometheus.found():
        lack(pytestconfig, prometheus.LACKING)
    options = Options(
        port_base=ports.free_block(SIZE), ready_seconds=300, environment={"CLOSEDLOOP_RATE_PER_CALLER": "0"}
    )
    platform = Platform(session_folder / "dashboards", options)
    platform.start()
    server = None
    try:
        targets = {
            f"{LOOPBACK}:{platform.layout.ports(process.service).metrics(process.role)}": {
                "service": process.service,
                "process": process.role,
            }
            for process in platform.processes.values()
        }
        rules = [SOURCES / service / "observability" / "rules.yaml" for service in SERVICES]
        server = Prometheus(session_folder / "prometheus", targets, rules, every="3s")
        server.ready()
        asyncio.run(_work(platform))
        empty = _empty(server, seconds=150)
        assert not empty, "\n".join(f"{board}, {panel}: {expression}" for board, panel, expression in sorted(empty))
        _as_they_are_named(server)
        alarms = server.query('ALERTS{alertstate="firing",severity="page"}')
        assert not alarms, f"a healthy platform pages: {alarms}"
        _note_memory(server)
        _note_rules(server)
    finally:
        if server is not None:
            server.stop()
        platform.stop()


async def _work(platform: Platform) -> None:
    """Turns of the whole loop, with time between them for a rate to be seen."""
    async with Stage(platform) as stage:
        await found_company(stage)
        for _ in range(TURNS):
            await loop.play(stage, loop.new_turn())
            await loop.bring_product(stage, f"NEW-{time.monotonic_ns()}")


def _empty(server: Prometheus, seconds: float) -> set[tuple[str, str, str]]:
    """Queries that have shown nothing yet when the time is up."""
    waiting = set(queries())
    ends = time.monotonic() + seconds
    while waiting and time.monotonic() < ends:
        waiting -= {query for query in waiting if server.query(_filled(query[2]))}
        time.sleep(2)
    return waiting


def _filled(expression: str) -> str:
    for variable, value in {
        "$job": "closedloop",
        "$instance": ".+",
        "$__rate_interval": "2m",
        "$__range": "1h",
    }.items():
        expression = expression.replace(variable, value)
    return expression


def _as_they_are_named(server: Prometheus) -> None:
    """`or vector(0)` must not hide a name that nobody exports; what has counted nothing yet is declared all the same."""
    declared = {entry["metric"]["__name__"] for entry in server.query('{__name__=~"(closedloop|process|slo:).+"}')}
    families = _families()
    for board, panel, expression in queries():
        for name in re.findall(r"\b(?:closedloop|process)_\w+|slo:[\w:]+", expression):
            base = re.sub(r"_(bucket|count|sum)$", "", name)
            assert name in declared or base in families or name in families, f"{board}, {panel}: nobody exports {name}"


def _families() -> set[str]:
    from prometheus_client import Counter
    from prometheus_client.metrics import MetricWrapperBase

    from closedloop_chassis.telemetry import courier_metrics, metrics

    found = [
        value
        for module in (metrics, courier_metrics)
        for value in vars(module).values()
        if isinstance(value, MetricWrapperBase)
    ]
    return {
        f"{family.name}_total" if isinstance(metric, Counter) else family.name
        for metric in found
        for family in metric.describe()
    }


def _note_rules(server: Prometheus) -> None:
    """What it costs Prometheus to go through all rules once; more than a few seconds would be too much for its interval."""
    groups = server.rule_groups()
    seconds = sum(group["evaluationTime"] for group in groups)
    (ROOT / "build" / "rules.json").write_text(json.dumps({"groups": len(groups), "seconds": round(seconds, 3)}) + "\n")
    for group in groups:
        for rule in group["rules"]:
            assert not rule.get("lastError"), f"{rule['name']}: {rule['lastError']}"


def _note_memory(server: Prometheus) -> None:
    """What requests and limits of the charts are measured by; docs/operate.md has the table."""
    seen = {
        f"{entry['metric']['service']} {entry['metric']['process']}": int(float(entry["value"][1]) / 2**20)
        for entry in server.query('process_resident_memory_bytes{job="closedloop"}')
    }
    assert len(seen) == 2 * len(SERVICES)
    path = ROOT / "build" / "memory.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(seen, indent=1, sort_keys=True) + "\n")
    for process, mebibytes in seen.items():
        assert mebibytes < (512 if process.endswith("api") else 320), (
            f"{process} needs {mebibytes} MiB, more than its limit"
        )
