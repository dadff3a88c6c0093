"""Which rule decided: kept beside every conclusion, so that a reader can look it up and argue with it."""

from __future__ import annotations

from typing import Any

from closedloop.common.v1.common_pb2 import RuleReference
from closedloop_chassis.rulebook.rules import Rules
from closedloop_chassis.work import Work

Explanation = dict[str, Any]


def because(work: Work, rules: type[Rules], rule: str, explanation: str) -> Explanation:
    """As jsonb keeps it and as keyword arguments of RuleReference."""
    return {
        "rulebook": rules.rulebook,
        "version": work.process.rulebooks.version(rules, work.now),
        "rule": rule,
        "explanation": explanation[:2000],
    }


def reference(explanation: Explanation | None) -> RuleReference | None:
    return RuleReference(**explanation) if explanation else None
