"""The charts as Helm 4's engine renders them."""

from __future__ import annotations

import shutil

import pytest

from .charts import CHARTS, SOURCES, Charts


@pytest.fixture(scope="session")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Charts:
    """A copy with its dependencies built, as `helm dependency build` and GitOps controllers do it."""
    folder = tmp_path_factory.mktemp("charts") / "helm"
    shutil.copytree(SOURCES, folder)
    found = Charts(folder)
    for name in CHARTS:
        found.build(name)
    return found
