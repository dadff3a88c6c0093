"""What was really reached: a ledger of facts, each with its source."""

from closedloop_chassis.service import Slice
from closedloop_targets.actuals import imports, neighbours, reactions, reading, recording
from closedloop_targets.actuals.figures import FIGURES
from closedloop_targets.actuals.rpcs import rpcs
from closedloop_targets.actuals.rules import ActualRules

SLICE = Slice(name="actuals", rpcs=(rpcs,), reactions=reactions.reactions, rules=(ActualRules,), figures=FIGURES)

__all__ = ["SLICE", "imports", "neighbours", "reading", "recording"]
