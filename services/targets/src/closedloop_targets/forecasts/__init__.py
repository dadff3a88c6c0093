"""Where the numbers are heading, and how well past forecasts did."""

from closedloop_chassis.service import Slice
from closedloop_targets.forecasts import api, reactions, trend_api
from closedloop_targets.forecasts.figures import FIGURES
from closedloop_targets.forecasts.rpcs import rpcs
from closedloop_targets.forecasts.rules import ForecastRules

SLICE = Slice(name="forecasts", rpcs=(rpcs,), reactions=reactions.reactions, rules=(ForecastRules,), figures=FIGURES)

__all__ = ["SLICE", "api", "trend_api"]
