"""What boards of the business are made of: SQL over the views of a service's schema `report`, read by a role that sees no more.

`$metric` and its like are variables of the board. Time is the dashboard's, `$__timeTo()` its end: a board of last Friday
shows last Friday.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import cleandoc
from typing import Any, Literal

from grafana_foundation_sdk.builders import common, dashboard, stat, table, timeseries
from grafana_foundation_sdk.cog import variants
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    DynamicConfigValue,
    VariableRefresh,
    VariableSort,
)

SOURCE = "grafana-postgresql-datasource"
Look = Literal["table", "line", "number"]
COLOURS = {"none": "green", "blue": "blue", "yellow": "yellow", "red": "red"}
BAR = {"type": "gauge", "mode": "gradient", "valueDisplayMode": "text"}


class SqlQuery(variants.Dataquery):  # type: ignore[misc]
    """A query of Grafana's PostgreSQL data source, for which the library has no builder."""

    def __init__(self, service: str, sql: str, look: Look, ref_id: str) -> None:
        self._query = {
            "datasource": source(service).to_json(),
            "editorMode": "code",
            "format": "time_series" if look == "line" else "table",
            "rawQuery": True,
            "rawSql": sql,
            "refId": ref_id,
        }

    def build(self) -> SqlQuery:
        return self

    def to_json(self) -> dict[str, object]:
        return dict(self._query)


@dataclass(frozen=True, slots=True)
class Report:
    """One panel. `service` is whose database is asked; `columns` gives the units of columns that are not the panel's.

    A table's column "Light" is coloured, "Completion" is a bar. A line's query answers `time` and a column per line, or
    `time`, `metric` and one value.
    """

    title: str
    description: str
    service: str
    sql: str
    look: Look = "table"
    unit: str = "short"
    width: int = 24
    height: int = 9
    columns: Mapping[str, str] = field(default_factory=dict)

    def build(self) -> Any:
        panel: Any = {"table": table.Panel, "line": timeseries.Panel, "number": stat.Panel}[self.look]()
        panel = panel.title(self.title).description(self.description).unit(self.unit).datasource(source(self.service))
        panel = panel.with_target(SqlQuery(self.service, cleandoc(self.sql), self.look, "A"))
        match self.look:
            case "table":
                for name, unit in self.columns.items():
                    panel = panel.override_by_name(name, [DynamicConfigValue("unit", unit), *_bar(name)])
                panel = panel.override_by_name("Light", [_coloured()])
            case "line":
                panel = panel.fill_opacity(8).show_points(looks.VisibilityMode.AUTO)
                panel = panel.tooltip(common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI))
            case "number":
                panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("/.*/"))
                panel = panel.no_value("–")
        return panel.height(self.height).span(self.width)


@dataclass(frozen=True, slots=True)
class Choice:
    """A variable: the first of what the query answers until somebody chooses."""

    name: str
    label: str
    service: str
    sql: str

    def build(self) -> Any:
        return (
            dashboard.QueryVariable(self.name)
            .label(self.label)
            .datasource(source(self.service))
            .query(cleandoc(self.sql))
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.DISABLED)
        )


def source(service: str) -> DataSourceRef:
    return DataSourceRef(type_val=SOURCE, uid=f"${{{service}}}")


def number(title: str, description: str, service: str, sql: str, unit: str = "short", width: int = 4) -> Report:
    return Report(title, description, service, sql, "number", unit, width, 4)


def line(title: str, description: str, service: str, sql: str, unit: str = "short", width: int = 12) -> Report:
    return Report(title, description, service, sql, "line", unit, width)


def board(
    uid: str,
    title: str,
    description: str,
    span: tuple[str, str],
    choices: Sequence[Choice],
    rows: Sequence[tuple[str, Sequence[Report]]],
) -> Any:
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["closedloop", "business"])
        .readonly()
        .refresh("5m")
        .time(*span)
        .timezone("browser")
    )
    asked = [report.service for _, reports in rows for report in reports]
    for service in dict.fromkeys(asked):
        # Of several databases the one named after the service is taken without asking.
        variable = dashboard.DatasourceVariable(service).label(f"Database of {service}").type(SOURCE)
        made = made.with_variable(variable.regex(f"/{service}/i"))
    for choice in choices:
        made = made.with_variable(choice.build())
    for name, reports in rows:
        made = made.with_row(dashboard.Row(name))
        for report in reports:
            made = made.with_panel(report.build())
    return made.build()


def _bar(column: str) -> list[DynamicConfigValue]:
    if column != "Completion":
        return []
    return [
        DynamicConfigValue("custom.cellOptions", BAR),
        DynamicConfigValue("min", 0),
        DynamicConfigValue("max", 1),
    ]


def _coloured() -> DynamicConfigValue:
    options = {light: {"color": colour, "index": at} for at, (light, colour) in enumerate(COLOURS.items())}
    return DynamicConfigValue("mappings", [{"type": "value", "options": options}])
