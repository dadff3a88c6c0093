"""What is made out of the contracts is committed as it would be made now; `make charts` runs it."""

from __future__ import annotations

from closedloop_devstack.platform.home import project
from closedloop_operations import artifacts


def test_objectives_rules_and_schemas_follow_the_contracts() -> None:
    root = project()
    stale = [path for path, text in artifacts.of_the_contracts(root).items() if (root / path).read_text() != text]
    assert not stale, f"`python -m closedloop_operations` makes them anew: {', '.join(map(str, stale))}"
