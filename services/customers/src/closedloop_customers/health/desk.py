"""Computes health anew: queued where something happened, awaited where somebody asks."""

from __future__ import annotations

from collections.abc import Collection

from closedloop_chassis.work import Work
from closedloop_customers.health import store
from closedloop_customers.health.rules import HealthRules


def touched(work: Work, account_ids: Collection[str], cause: str) -> None:
    """Queues one statement for these accounts."""
    if account_ids:
        rules = work.rules(HealthRules)
        work.tx.do(store.statement(rules, all_accounts=False), _params(work, rules, cause, account_ids))


async def evaluate(work: Work, cause: str, account_ids: Collection[str] | None = None) -> store.Outcome:
    """Of these accounts, or of all. One round trip."""
    rules = work.rules(HealthRules)
    sql = store.statement(rules, all_accounts=account_ids is None)
    found = await work.tx.one(sql, _params(work, rules, cause, account_ids), into=store.Outcome)
    assert found is not None
    return found


def _params(work: Work, rules: HealthRules, cause: str, ids: Collection[str] | None) -> dict[str, object]:
    version = work.process.rulebooks.version(HealthRules, work.now)
    return store.parameters(rules, version, cause, work.now, ids)
