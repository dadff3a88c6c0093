"""Deviations and warnings: noticed by the system, answered by an owner, checked for effect."""

from closedloop_chassis.service import Slice
from closedloop_targets.alarms import api, deviation_api, reactions
from closedloop_targets.alarms.rpcs import rpcs
from closedloop_targets.alarms.rules import AlarmRules, CauseRules

SLICE = Slice(name="alarms", rpcs=(rpcs,), reactions=reactions.reactions, rules=(AlarmRules, CauseRules))

__all__ = ["SLICE", "api", "deviation_api"]
