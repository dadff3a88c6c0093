"""What the catalogue says is fed is what services tell."""

from __future__ import annotations

import pytest

from closedloop_funnel.performance import told
from closedloop_funnel.performance.rules import METRICS
from closedloop_targets.metrics.rules import MEASURED, MetricRules


@pytest.mark.mission("S8", "S17")
def test_every_metric_that_is_said_to_be_measured_by_the_funnel_is_told_by_it() -> None:
    catalogue = {metric.code: metric for metric in MetricRules().metrics}
    fed = {code for code, metric in catalogue.items() if MEASURED in metric.fed_by}
    assert fed == set(METRICS) | set(told.UNITS)
    units = {key: rule.unit for key, rule in METRICS.items()} | told.UNITS
    assert {code: catalogue[code].unit for code in fed} == units
