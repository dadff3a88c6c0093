"""The shipped packs on running services: set up, set up again, taken out again and put into another company."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from closedloop_devstack.platform.home import project
from closedloop_devstack.testing.companies import Company

pytestmark = [pytest.mark.mission("S100"), pytest.mark.timeout(300)]
PACKS = project() / "packs"


@pytest.fixture(scope="module")
def works(companies: Callable[[], Company], shell: Any) -> Any:
    """The command line of the company that the industrial pack sets up."""
    return shell(**companies().environment)


@pytest.fixture(scope="module")
def shop(companies: Callable[[], Company], shell: Any) -> Any:
    """The command line of the company that the retail pack sets up."""
    return shell(**companies().environment)


def test_an_industrial_company_is_set_up_from_its_pack(works: Any) -> None:
    pack = PACKS / "industrial-b2b"
    announced = works.json("pack", "diff", pack)
    applied = works.json("pack", "apply", pack)
    assert announced["changes"] == applied["changes"]
    assert (applied["new"], applied["same"]) == (73, 1)
    assert applied["changed"] >= 24
    assert works.json("pack", "diff", pack)["changes"] == []
    again = works.json("pack", "apply", pack)
    assert (again["new"], again["changed"]) == (0, 0)
    # Seen by whoever works there.
    nodes = works.json("targets", "tree")["nodes"]
    assert [node["name"] for node in nodes][:1] == ["示例工业股份有限公司"]
    assert "spare-parts" in works("rules", "show", "funnel.pipelines")
    assert works.json("rules", "show", "funnel.quotes")["history"][0]["reason"] == "工业 B2B（设备与解决方案）"


def test_a_retail_company_is_set_up_from_its_pack(shop: Any) -> None:
    pack = PACKS / "retail-chain"
    applied = shop.json("pack", "apply", pack)
    assert applied["new"] == 71
    assert shop.json("pack", "diff", pack)["changes"] == []


def test_a_company_taken_out_and_put_into_another_is_the_same(
    works: Any, companies: Callable[[], Company], shell: Any, tmp_path: Path
) -> None:
    works("pack", "export", tmp_path / "first", "--title", "导出")
    works("pack", "validate", tmp_path / "first")
    assert works.json("pack", "diff", tmp_path / "first")["changes"] == []
    other = shell(**companies().environment)
    other("pack", "apply", tmp_path / "first")
    other("pack", "export", tmp_path / "second", "--title", "导出")
    assert _files(tmp_path / "first") == _files(tmp_path / "second")
    assert len(_files(tmp_path / "first")) >= 20
    assert "not empty" in works("pack", "export", tmp_path / "first", status=2)


def _files(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.yaml")}
