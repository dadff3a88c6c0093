"""An upgrade from the rendering before must not touch what Kubernetes does not let anybody change.

    python -m deploy.tests.test_upgrade

accepts the charts as they are: `immutable.json` beside this file then holds what later versions have to keep.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from closedloop_operations.environment import SERVICES

from .charts import LEAST, SCENARIOS, SOURCES, Charts, Object, identity, merged, umbrella

KEPT = Path(__file__).parent / "immutable.json"
# By kind, what the API server (or the operator) refuses to change.
IMMUTABLE: dict[str, tuple[str, ...]] = {
    "Deployment": ("spec.selector",),
    "Service": ("spec.clusterIP", "spec.type"),
    "Cluster": ("spec.bootstrap", "spec.storage.storageClass"),
    "RabbitmqCluster": ("spec.persistence.storageClassName",),
    "Certificate": ("spec.secretName",),
}


def _frozen(rendered: list[Object]) -> dict[str, dict[str, Any]]:
    return {
        "/".join(identity(made)): {path: _at(made, path) for path in IMMUTABLE[made["kind"]]}
        for made in rendered
        if made["kind"] in IMMUTABLE
    }


def _at(made: Object, path: str) -> Any:
    found: Any = made
    for step in path.split("."):
        found = (found or {}).get(step)
    return found


def _all(charts: Charts) -> dict[str, Any]:
    frozen = {
        f"{service}, {name}": _frozen(charts.render(service, merged(LEAST, SCENARIOS[name])))
        for service in SERVICES
        for name in ("least", "scaled", "certificates", "operators")
    }
    return {**frozen, "closedloop": _frozen(charts.render("closedloop", umbrella()))}


def test_nothing_immutable_is_touched(charts: Charts) -> None:
    kept = json.loads(KEPT.read_text())
    now = _all(charts)
    assert kept, "nothing is kept"
    for where, before in kept.items():
        for name, fields in before.items():
            assert name in now[where], f"{where}: {name} is gone; an upgrade would delete it and make another"
            assert now[where][name] == fields, f"{where}: {name} cannot be changed so"


def test_from_one_release_into_the_umbrella(charts: Charts) -> None:
    """A service that was released alone can be taken over by the umbrella: same names, same selectors."""
    alone = {service: _frozen(charts.render(service, LEAST, release="alone")) for service in SERVICES}
    together = _frozen(charts.render("closedloop", umbrella(), release="together"))
    for service in SERVICES:
        assert alone[service].items() <= together.items()


if __name__ == "__main__":
    import shutil
    import tempfile

    from .charts import CHARTS

    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(SOURCES, Path(folder) / "helm")
        found = Charts(Path(folder) / "helm")
        for chart in CHARTS:
            found.build(chart)
        KEPT.write_text(json.dumps(_all(found), indent=1, sort_keys=True) + "\n")
    sys.stdout.write(f"wrote {KEPT}\n")
