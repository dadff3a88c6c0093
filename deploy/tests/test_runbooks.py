"""Every alert leads to a page that is there, and every page has an alert."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from closedloop_operations.environment import SERVICES

from .charts import LEAST, SOURCES, Charts, merged, of_kind

ROOT = SOURCES.parents[1]
DOCS = ROOT / "docs"


def _alerts() -> dict[str, str]:
    """Addresses of runbooks by alert."""
    found = {}
    for service in SERVICES:
        rules = yaml.safe_load((SOURCES / service / "observability" / "rules.yaml").read_text())
        for group in rules["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    found[rule["alert"]] = rule["annotations"]["runbook_url"]
    return found


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    alerts = _alerts()
    for name, url in alerts.items():
        text = (ROOT / url).read_text()
        assert text.startswith(f"# {name}\n")
        for part in ("## What it means", "## Where to look", "## What to do"):
            assert part in text, f"{url} lacks {part}"
    assert {path.stem for path in (DOCS / "runbooks").glob("*.md")} == set(alerts)


def test_links_and_anchors_lead_somewhere() -> None:
    for page in (*(DOCS / "runbooks").glob("*.md"), DOCS / "operate.md"):
        for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([\w-]+))?\)", page.read_text()):
            where = (page.parent / target).resolve() if target else page
            assert where.exists(), f"{page.name} leads to {target}"
            if anchor:
                titles = re.findall(r"^#+ (.+)$", where.read_text(), re.M)
                assert anchor in {_slug(title) for title in titles}, f"{page.name} leads to {target}#{anchor}"


def _slug(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-")


def test_runbooks_may_stand_elsewhere(charts: Charts) -> None:
    """A platform team serves these pages where its people can open them."""
    base = "https://handbook.example.com/closedloop/"
    values = {"prometheusRule": {"enabled": True, "runbooks": base}}
    [rule] = of_kind(charts.render("targets", merged(LEAST, values)), "PrometheusRule")
    urls = {r["annotations"]["runbook_url"] for g in rule["spec"]["groups"] for r in g["rules"] if "alert" in r}
    assert urls == {base + Path(url).name for url in _alerts().values()}


def test_figures_of_the_handbook_are_those_of_the_charts() -> None:
    """The table of requests and limits in docs/operate.md is the one that is rendered."""
    text = (DOCS / "operate.md").read_text()
    defaults = yaml.safe_load((SOURCES / "library" / "values.yaml").read_text())["exports"]["defaults"]
    for process in ("api", "courier"):
        resources = defaults[process]["resources"]
        asked = f"{resources['requests']['cpu']}, {resources['requests']['memory']}"
        assert re.search(rf"^\| {process} \|.*\| {asked} \| {resources['limits']['memory']} \|$", text, re.M), process
