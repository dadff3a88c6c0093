"""Which version of the rulebook decided."""

from __future__ import annotations

from closedloop.common.v1.common_pb2 import RuleReference
from closedloop_chassis.work import Work
from closedloop_integrations.economics.rules import EconomicsRules


def reference(work: Work, rule: str, explanation: str) -> RuleReference:
    version = work.process.rulebooks.version(EconomicsRules, work.now)
    return RuleReference(rulebook=EconomicsRules.rulebook, version=version, rule=rule, explanation=explanation)
