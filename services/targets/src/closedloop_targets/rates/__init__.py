"""What one currency is worth in another, day by day."""

from closedloop_chassis.service import Slice
from closedloop_targets.rates.api import rpcs
from closedloop_targets.rates.rules import RateRules

SLICE = Slice(name="rates", rpcs=(rpcs,), rules=(RateRules,))
