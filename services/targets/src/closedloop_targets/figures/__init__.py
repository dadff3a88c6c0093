"""Whose the figures of targets are, and what its ledger and its targets must say."""

from closedloop_chassis.service import Slice
from closedloop_targets.figures.rules import TargetFigureRules

SLICE = Slice(name="figures", rules=(TargetFigureRules,))
