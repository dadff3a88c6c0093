"""Dashboards as code: the platform's promises, and one per service. Files by their path among the charts."""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from closedloop_operations.dashboards import promises, service
from closedloop_operations.environment import SERVICES

FOLDER = Path("observability", "dashboards")


def files() -> dict[Path, str]:
    made = {Path("closedloop") / FOLDER / "promises.json": promises.dashboard()}
    for name in SERVICES:
        made[Path(name) / FOLDER / f"{name}.json"] = service.dashboard(name)
    encoder = JSONEncoder(sort_keys=True, indent=1)
    return {path: encoder.encode(dashboard) + "\n" for path, dashboard in made.items()}


__all__ = ["files"]
