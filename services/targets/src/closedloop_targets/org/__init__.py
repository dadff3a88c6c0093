"""The organisation: units in one dated tree, and the people in them. Targets owns it."""

from closedloop_chassis.service import Slice
from closedloop_targets.custom_fields import TargetFieldRules
from closedloop_targets.org import imports, people, reactions, tree, units
from closedloop_targets.org.rpcs import rpcs
from closedloop_targets.org.rules import OrgRules

SLICE = Slice(name="org", rpcs=(rpcs,), reactions=reactions.reactions, rules=(OrgRules, TargetFieldRules))

__all__ = ["SLICE", "imports", "people", "tree", "units"]
