"""Accounts whose potential is to be looked at: asked for by whoever makes or touches one, evaluated by the reactor a moment
later, once however often it was asked for."""

from __future__ import annotations

from collections.abc import Iterable

from closedloop_chassis.work import Work

DUE = "customers.potential_due"


def reconsider(work: Work, account_ids: Iterable[str]) -> None:
    """Queues one statement."""
    work.timers.bring_forward(DUE, dict.fromkeys(account_ids, work.now))
