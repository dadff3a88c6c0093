"""Looking back: every fortnight a supervisor's pack, every month the health of targets."""

from closedloop_chassis.service import Slice
from closedloop_targets.reviews import health_api, pack_api, reactions, record_api
from closedloop_targets.reviews.health import HealthRules
from closedloop_targets.reviews.rpcs import rpcs
from closedloop_targets.reviews.rules import ReviewRules

SLICE = Slice(name="reviews", rpcs=(rpcs,), reactions=reactions.reactions, rules=(ReviewRules, HealthRules))

__all__ = ["SLICE", "health_api", "pack_api", "record_api"]
