"""Dashboards as code: the platform's promises, one per service, and the business's own. Files by their path among the charts."""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from closedloop_operations.dashboards import day, promises, sales, service
from closedloop_operations.environment import SERVICES

FOLDER = Path("observability", "dashboards")


def files() -> dict[Path, str]:
    whole = {"promises": promises, "sales": sales, "day": day}
    made = {Path("closedloop") / FOLDER / f"{name}.json": module.dashboard() for name, module in whole.items()}
    for name in SERVICES:
        made[Path(name) / FOLDER / f"{name}.json"] = service.dashboard(name)
    encoder = JSONEncoder(sort_keys=True, indent=1)
    return {path: encoder.encode(dashboard) + "\n" for path, dashboard in made.items()}


__all__ = ["files"]
