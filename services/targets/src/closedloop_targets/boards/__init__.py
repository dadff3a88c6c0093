"""What everybody looks at in the morning."""

from closedloop_chassis.service import Slice
from closedloop_targets.boards import copies, customers, people, ranking_api, reactions
from closedloop_targets.boards.figures import FIGURES
from closedloop_targets.boards.rpcs import rpcs
from closedloop_targets.boards.rules import BoardRules

SLICE = Slice(name="boards", rpcs=(rpcs,), reactions=reactions.reactions, rules=(BoardRules,), figures=FIGURES)

__all__ = ["SLICE", "copies", "customers", "people", "ranking_api"]
