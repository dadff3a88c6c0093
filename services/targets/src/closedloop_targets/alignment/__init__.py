"""Neighbouring departments' figures beside the attainment they drive (S18)."""

from closedloop_chassis.service import Slice
from closedloop_targets.alignment import api, reactions
from closedloop_targets.alignment.rules import AlignmentRules

# Its RPC belongs to the board service, whose table registers it.
SLICE = Slice(name="alignment", reactions=reactions.reactions, rules=(AlignmentRules,))

__all__ = ["SLICE", "api"]
