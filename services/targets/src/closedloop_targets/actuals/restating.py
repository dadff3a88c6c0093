"""A changed rate restates what was converted by it: by reversal, never by change (U16)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import date

from closedloop_chassis.work import Work
from closedloop_targets.actuals import store
from closedloop_targets.book import rates

# Live rows of these currencies from a day on.
CONVERTED = """
SELECT * FROM actual
 WHERE currency = ANY(%(currencies)s) AND currency <> base_currency AND date >= %(since)s
   AND reverses_id IS NULL AND reversed_by_id IS NULL
 ORDER BY date, id FOR UPDATE
"""


async def by_rates(work: Work, currencies: Collection[str], since: date) -> int:
    """How many rows were restated. Two round trips; the rates are those that the transaction has queued, too."""
    base = work.home.currency
    rows = [
        store.row(one)
        for one in await work.tx.all(CONVERTED, {"currencies": sorted(set(currencies) - {base}), "since": since})
    ]
    if not rows:
        return 0
    known = await rates.held(work.tx, base, {row.fact.date for row in rows})
    changed = []
    for row in rows:
        minor = known.convert(row.fact.minor, row.fact.currency, row.fact.base_currency, row.fact.date)
        if minor != row.fact.base_minor:
            changed.append((row, replace(row.fact, base_minor=minor)))
    if changed:
        taken_back = [(row, "its exchange rate was changed") for row, _ in changed]
        store.write(work, taken_back, [fact for _, fact in changed])
    return len(changed)
