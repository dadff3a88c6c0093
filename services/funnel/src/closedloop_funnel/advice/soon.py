"""Asks for advice, a moment after what it is about was logged."""

from __future__ import annotations

from closedloop_chassis.work import Work
from closedloop_funnel.advice.rules import AdviceRules

ADVICE = "funnel.advice"
TALK, PROPOSAL = "talk:", "proposal:"


def on_talk(work: Work, activity_id: str) -> None:
    _soon(work, TALK + activity_id)


def on_proposal(work: Work, proposal_id: str) -> None:
    _soon(work, PROPOSAL + proposal_id)


def _soon(work: Work, subject: str) -> None:
    work.timers.set(ADVICE, subject, work.calendars.due(work.rules(AdviceRules).after, work.now))
