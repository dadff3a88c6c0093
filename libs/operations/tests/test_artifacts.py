"""What is made out of the contracts is committed as it would be made now; `make charts` runs it."""

from __future__ import annotations

import yaml

from closedloop_devstack.platform.home import project
from closedloop_operations import artifacts, environment


def test_objectives_rules_and_schemas_follow_the_contracts() -> None:
    root = project()
    stale = [path for path, text in artifacts.of_the_contracts(root).items() if (root / path).read_text() != text]
    assert not stale, f"`python -m closedloop_operations` makes them anew: {', '.join(map(str, stale))}"


def test_charts_know_the_secrets_of_the_settings() -> None:
    for service in environment.SERVICES:
        own = environment.outside(service)
        values = yaml.safe_load((project() / artifacts.CHARTS / service / "values.yaml").read_text())
        told = values["service"].get("outside", {}).get("secrets", [])
        secrets = [found.setting for found in environment.variables(own).values() if found.secret] if own else []
        assert sorted(told) == sorted(secrets), f"service.outside.secrets in deploy/helm/{service}/values.yaml"
