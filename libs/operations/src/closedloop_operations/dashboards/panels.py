"""What all dashboards are made of: the same variables, the same look, a description on every panel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    VariableHide,
    VariableRefresh,
    VariableSort,
)

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
# Label matchers of every query; `WHO` in an expression stands for them.
WHO = 'job=~"$job",instance=~"$instance"'


@dataclass(frozen=True, slots=True)
class Panel:
    """`queries`: (expression, legend). `single`: one number instead of a line."""

    title: str
    description: str
    unit: str
    queries: Sequence[tuple[str, str]]
    single: bool = False
    width: int = 8

    def build(self, who: str) -> Any:
        panel: Any = stat.Panel() if self.single else timeseries.Panel()
        panel = panel.title(self.title).description(self.description).unit(self.unit).datasource(SOURCE)
        for number, (expression, legend) in enumerate(self.queries):
            query = prometheus.Dataquery().expr(expression.replace("WHO", who)).legend_format(legend)
            panel = panel.with_target(query.datasource(SOURCE).ref_id(chr(ord("A") + number)))
        if self.single:
            panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        else:
            panel = panel.fill_opacity(8).show_points(looks.VisibilityMode.NEVER)
            panel = panel.tooltip(common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI))
        return panel.height(7 if not self.single else 4).span(self.width)


def board(
    uid: str, title: str, description: str, tags: Iterable[str], who: str, rows: Sequence[tuple[str, Sequence[Panel]]]
) -> Any:
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["closedloop", *tags])
        .readonly()
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_labels("job", "Job", who))
        .with_variable(_labels("instance", "Instance", f'job=~"$job",{who}' if who else 'job=~"$job"'))
    )
    matchers = f"{WHO},{who}" if who else WHO
    for name, panels in rows:
        made = made.with_row(dashboard.Row(name))
        for panel in panels:
            made = made.with_panel(panel.build(matchers))
    return made.build()


def _labels(label: str, shown: str, who: str) -> Any:
    return (
        dashboard.QueryVariable(label)
        .label(shown)
        .datasource(SOURCE)
        .query(f"label_values(closedloop_outbox_backlog{{{who}}}, {label})" if label == "job" else _instances(who))
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .hide(VariableHide.DONT_HIDE)
        .multi(True)
        .include_all(True)
        .all_value(".+")
    )


def _instances(who: str) -> str:
    return f"label_values(process_start_time_seconds{{{who}}}, instance)"
