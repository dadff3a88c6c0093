"""The products that targets are set on, and where each stands in its life."""

from closedloop_chassis.service import Slice
from closedloop_targets.products import api, imports, reactions
from closedloop_targets.products.rpcs import rpcs
from closedloop_targets.products.rules import ProductRules

SLICE = Slice(name="products", rpcs=(rpcs,), reactions=reactions.reactions, rules=(ProductRules,))

__all__ = ["SLICE", "api", "imports"]
