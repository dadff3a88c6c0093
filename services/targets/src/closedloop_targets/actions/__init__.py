"""Which actions carry which target, whether they were done, and what they moved."""

from closedloop_chassis.service import Slice
from closedloop_targets.actions import binding_api, key_action_api, map_api, reactions
from closedloop_targets.actions.rpcs import rpcs
from closedloop_targets.actions.rules import ActionRules

SLICE = Slice(name="actions", rpcs=(rpcs,), reactions=reactions.reactions, rules=(ActionRules,))

__all__ = ["SLICE", "binding_api", "key_action_api", "map_api"]
