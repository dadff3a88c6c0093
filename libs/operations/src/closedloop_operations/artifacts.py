"""Everything that is made and committed: path in the repository, and the text that belongs there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from closedloop_operations import alerts, burn, objectives, rulebook_shapes, values_schema
from closedloop_operations.environment import SERVICES

CHARTS = Path("deploy/helm")
SLOS = Path("deploy/observability/slos")
MADE = "# Made by `make observability` out of the contracts; changes belong there.\n"


def of_the_contracts(root: Path) -> dict[Path, str]:
    """SLO specifications, rules, values schemas, shapes of rulebooks; needs nothing but what the services run on."""
    made: dict[Path, str] = {rulebook_shapes.PATH: rulebook_shapes.text()}
    for service in SERVICES:
        specification = objectives.specification(service)
        made[SLOS / f"{service}.yaml"] = MADE + _yaml(specification)
        rules = [*burn.groups(specification), *alerts.group(service)]
        made[CHARTS / service / "observability" / "rules.yaml"] = MADE + _yaml({"groups": rules})
        made[CHARTS / service / "values.schema.json"] = values_schema.of_service(root / CHARTS, service)
    made[CHARTS / "closedloop" / "values.schema.json"] = values_schema.of_umbrella(root / CHARTS)
    return made


def everything(root: Path) -> dict[Path, str]:
    """Dashboards besides, whose library lies in .venv-charts."""
    from closedloop_operations import dashboards

    return {**of_the_contracts(root), **{CHARTS / path: text for path, text in dashboards.files().items()}}


class _Plain(yaml.SafeDumper):  # type: ignore[misc]
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Plain.add_representer(str, _text)


def _yaml(document: dict[str, Any]) -> str:
    text: str = yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=10_000)
    return text
