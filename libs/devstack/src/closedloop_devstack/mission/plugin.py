"""pytest plugin: `@pytest.mark.mission("S23", "S24")` says which rows a test proves; results go to `build/`.

`@pytest.mark.mission("S26", lacks="the morning reminder")` proves a part of the row and says what is still missing.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from closedloop_devstack.mission.results import FILE, Outcome, Result, unknown, updated
from closedloop_devstack.platform.home import project

# A later phase may only make it worse: a test whose teardown fails has failed.
SEVERITY: dict[Outcome, int] = {"passed": 0, "skipped": 1, "failed": 2}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "mission(*rows, lacks=''): the rows this test proves, e.g. S23, or what they still lack"
    )
    config.pluginmanager.register(Recorder(config), "closedloop-mission-recorder")


class Recorder:
    """Collects while the session runs, writes once at its end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._project = project()
        self._rows: dict[str, list[str]] = {}
        self._lacks: dict[str, dict[str, str]] = {}
        self._known: dict[str, set[str]] = {}
        self._outcomes: dict[str, Outcome] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """First, so that tests deselected afterwards still count as known."""
        for item in items:
            markers = list(item.iter_markers("mission"))
            rows = sorted({str(row) for marker in markers for row in marker.args})
            if wrong := unknown(rows):
                raise pytest.UsageError(f"{item.nodeid} names rows the mission does not have: {', '.join(wrong)}")
            node = self._node(item)
            known = self._known.setdefault(node.partition("::")[0], set())
            if rows:
                known.add(node)
                self._rows[node] = rows
                self._lacks[node] = {
                    str(row): lacks
                    for marker in markers
                    if (lacks := marker.kwargs.get("lacks"))
                    for row in marker.args
                }

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if (node := self._node(item)) in self._rows:
            before = self._outcomes.get(node, "passed")
            self._outcomes[node] = max(before, report.outcome, key=lambda outcome: SEVERITY[outcome])
        return report

    def pytest_sessionfinish(self) -> None:
        if not self._known:
            return
        # Node ids on the command line collect files in part: what was not collected may well exist.
        whole_files = not any("::" in argument for argument in self._config.args)
        with updated(self._project / "build" / FILE) as results:
            results.forget_missing_files(self._project)
            for file, known in self._known.items() if whole_files else ():
                results.forget(file, known)
            for node, outcome in self._outcomes.items():
                results.root[node] = Result(rows=self._rows[node], lacks=self._lacks[node], outcome=outcome)

    def _node(self, item: pytest.Item) -> str:
        """The node id relative to the repository, wherever pytest found its root."""
        _, separator, rest = item.nodeid.partition("::")
        if rest.rfind("@") > rest.rfind("]"):
            # xdist writes a test's group behind its name.
            rest = rest.rpartition("@")[0]
        path = item.path.relative_to(self._project) if item.path.is_relative_to(self._project) else item.path
        return f"{path.as_posix()}{separator}{rest}"
