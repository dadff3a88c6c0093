"""Panels over PostgreSQL as they stand in the charts, and their queries as Grafana's data source sends them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path("deploy/helm/closedloop/observability/dashboards")
NAMES = ("sales", "day")
# The role of docs/operate.md, by which Grafana reads.
READER = "closedloop_reader"


@dataclass(frozen=True, slots=True)
class Query:
    """`name` is the panel's or variable's, `service` whose database is asked, `kind` "panel" or "choice"."""

    board: str
    name: str
    service: str
    sql: str
    kind: str
    format: str = "table"

    def filled(self, start: datetime, end: datetime, choices: Mapping[str, str]) -> str:
        """Macros and variables replaced as the data source does it. Raises KeyError for a variable without a choice."""
        since, until = (f"'{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}'" for at in (start, end))
        sql = re.sub(r"\$__timeFilter\(([^()]+)\)", rf"\1 BETWEEN {since} AND {until}", self.sql)
        sql = re.sub(r"\$__timeGroupAlias\(([^(),]+), *'1([dh])'\)", _grouped, sql)
        sql = sql.replace("$__timeFrom()", since).replace("$__timeTo()", until)
        return re.sub(r"\$(\w+)", lambda found: choices[found[1]], sql)


def queries(root: Path) -> Iterator[Query]:
    """Of every panel and variable over SQL, as committed."""
    for name in NAMES:
        board = json.loads((root / FOLDER / f"{name}.json").read_text())
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield Query(name, variable["name"], _service(variable["datasource"]), variable["query"], "choice")
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield Query(
                    name, panel["title"], _service(target["datasource"]), target["rawSql"], "panel", target["format"]
                )


def _grouped(found: re.Match[str]) -> str:
    seconds = {"d": 86400, "h": 3600}[found[2]]
    return f'floor(extract(epoch from {found[1]})/{seconds})*{seconds} AS "time"'


def _service(source: Mapping[str, Any]) -> str:
    return str(source["uid"]).strip("${}")
