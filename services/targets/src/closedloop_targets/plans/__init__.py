"""Plans and the targets in them."""

from closedloop_chassis.service import Slice
from closedloop_targets.plans import exception_api, imports, leak_api, plan_api, reactions, target_api, version_api
from closedloop_targets.plans.rpcs import rpcs
from closedloop_targets.plans.rules import PlanRules
from closedloop_targets.plans.smart import SmartRules

SLICE = Slice(name="plans", rpcs=(rpcs,), reactions=reactions.reactions, rules=(PlanRules, SmartRules))

__all__ = ["SLICE", "exception_api", "imports", "leak_api", "plan_api", "target_api", "version_api"]
