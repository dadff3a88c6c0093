"""What is measured: the catalogue of metrics."""

from closedloop_chassis.service import Slice
from closedloop_targets.metrics.api import rpcs
from closedloop_targets.metrics.rules import MetricRules

SLICE = Slice(name="metrics", rpcs=(rpcs,), rules=(MetricRules,))
