"""The house rules of the code that no linter knows: slices keep to themselves, and what the design calls forbidden is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for folder in ("libs", "services", "clients") for path in (ROOT / folder).glob("*/src/closedloop_*/**/*.py")
)
RULES = [path for path in SOURCES if path.name == "rules.py" and "services" in path.parts]
SLICES = [
    path for path in SOURCES if path.parts[len(ROOT.parts)] == "services" and len(path.relative_to(ROOT).parts) > 5
]

# rules.py is pure: no I/O, no protobuf, no clock.
IMPURE = (
    "psycopg",
    "grpc",
    "google",
    "redis",
    "nameko",
    "kombu",
    "httpx",
    "asyncio",
    "closedloop.",
    "os",
    "time",
    "socket",
)
# What a company would want to change stands in a rulebook: spans, hours of the day, places, money. Here, what it would not.
NO_RULES = {
    "integrations/courier.py": "how often an interrupted hand-over is looked for",
    "integrations/procurement/mending.py": "how Chinese procurement sites print: their clock and their money",
    "integrations/notices/rules.py": "the money of those sites",
    "approvals/policies/condition.py": "an example of the facts, for the type checker of conditions",
    "customers/interactions/api.py": "the end of time",
    "funnel/boards/api.py": "the beginning of time",
    "targets/periods/rules.py": "a week has seven days",
    "targets/boards/teams.py": "the week before",
}
SPANS = ("timedelta", "time", "datetime", "ClockSetting", "ZoneInfo")
ZONE_OR_MONEY = re.compile(
    r"(Africa|America|Asia|Atlantic|Australia|Europe|Indian|Pacific)/\w+|CNY|RMB|USD|EUR|HKD|JPY|GBP"
)
# Modules of the chassis that rules may know: types of rulebooks and errors, arithmetic of calendars, the org in memory.
PURE_CHASSIS = (
    "errors",
    "rulebook.rules",
    "calendar.business",
    "currency",
    "custom_fields",
    "figures.rules",
    "org.home",
    "org.snapshot",
    "clocks.due",
)


def imports(path: Path) -> Iterator[str]:
    """Every module the file imports at run time, absolute."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", RULES, ids=short)
def test_rules_are_pure(path: Path) -> None:
    for name in imports(path):
        assert not any(name == root.rstrip(".") or name.startswith(root.rstrip(".") + ".") for root in IMPURE), name
        if name.startswith("closedloop_chassis."):
            known = tuple(f"closedloop_chassis.{module}" for module in PURE_CHASSIS)
            assert name.startswith(known), name
    assert ".now(" not in path.read_text(), "time comes in as an argument"


@pytest.mark.parametrize("path", SLICES, ids=short)
def test_a_slice_uses_no_other_slices_store_and_no_other_service(path: Path) -> None:
    package, own_slice = path.relative_to(ROOT).parts[3:5]
    for name in imports(path):
        parts = name.split(".")
        if parts[0].startswith("closedloop_") and parts[0] not in ("closedloop_chassis", package):
            pytest.fail(f"imports another service: {name}")
        if parts[0] == package and "store" in parts[2:]:
            assert parts[1] == own_slice, f"reads another slice's tables: {name}"


@pytest.mark.parametrize("path", [p for p in SOURCES if "chassis" in p.parts or "services" in p.parts], ids=short)
def test_sql_takes_the_present_as_a_parameter(path: Path) -> None:
    if path.parts[len(ROOT.parts)] != "services":
        return
    text = path.read_text().lower()
    assert " now()" not in text, "SQL says %(now)s, so that a development clock and a test can move it"
    assert "current_timestamp" not in text


def outside_rulebooks(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that is in no rulebook and no part of one."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.ClassDef) and {ast.unparse(base) for base in node.bases} & {"Rules", "Part"}):
            yield node
            yield from outside_rulebooks(node)


def settled(node: ast.AST) -> bool:
    """Whether it settles a span, an hour, a place or a currency by a literal; nothing and one of a kind settle nothing."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and ZONE_OR_MONEY.fullmatch(node.value) is not None
    if not isinstance(node, ast.Call) or ast.unparse(node.func).rpartition(".")[2] not in SPANS:
        return False
    given = [*node.args, *(keyword.value for keyword in node.keywords)]
    return any(isinstance(value, ast.Constant) and value.value not in (0, 1) for value in given)


def test_spans_hours_places_and_money_are_rulebook_data() -> None:
    found = {
        "/".join(path.relative_to(ROOT / "services").parts[2:]).removeprefix("closedloop_"): node.lineno
        for path in SOURCES
        if "services" in path.relative_to(ROOT).parts and path.name != "defaults.py"
        for node in outside_rulebooks(ast.parse(path.read_text()))
        if settled(node)
    }
    assert {place: line for place, line in found.items() if place not in NO_RULES} == {}
    assert set(NO_RULES) - set(found) == set(), "excused for nothing"


def test_no_file_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}
    assert not [short(path) for path in SOURCES if path.stem in empty]
