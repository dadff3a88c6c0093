"""What imported rows may refer to by name: colleagues, accounts, products; all of a call's names looked up at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from closedloop_chassis import errors
from closedloop_chassis.data.transaction import Transaction
from closedloop_chassis.org.home import Home
from closedloop_funnel.copies.conversion import Rates
from closedloop_funnel.opportunities.dwell import Dwell

# Merged accounts answer as the one they became.
ACCOUNTS = """
SELECT word, coalesce(s.id, a.id) AS id, coalesce(s.name, a.name) AS name, coalesce(s.customer_type, a.customer_type)
         AS customer_type, coalesce(s.status, a.status) IN ('customer', 'former') AS bought
  FROM account a LEFT JOIN account s ON s.id = a.merged_into_id, unnest(a.words) AS word
 WHERE a.words && %(words)s AND word = ANY(%(words)s)
"""
PRODUCTS = """
SELECT word, id FROM product p, unnest(p.words) AS word WHERE p.words && %(words)s AND word = ANY(%(words)s)
"""


@dataclass(frozen=True, slots=True)
class Account:
    id: str = ""
    name: str = ""
    customer_type: str = ""
    # It had bought before anything we know of.
    bought: bool = False


def folded(words: str) -> str:
    """As the copies keep names: case and spacing do not tell them apart."""
    return " ".join(words.casefold().split())


class Known:
    """Names to ids. Each lookup raises InvalidArgument *_UNKNOWN or *_AMBIGUOUS."""

    def __init__(self, home: Home, dwell: Dwell, rates: Rates, actor: str) -> None:
        self.home = home
        self.rates = rates
        self.now = home.now
        self.actor = actor
        self._dwell = dwell
        self._people: dict[str, set[str]] = defaultdict(set)
        for person in home.org.people.values():
            self._people[folded(person.name)].add(person.id)
        self._accounts: dict[str, dict[str, Account]] = defaultdict(dict)
        self._products: dict[str, set[str]] = defaultdict(set)

    async def look_up(self, tx: Transaction, accounts: Iterable[str], products: Iterable[str]) -> None:
        """Two round trips for all names of a call."""
        wanted = sorted({folded(name) for name in accounts} - {""})
        if wanted:
            for row in await tx.all(ACCOUNTS, {"words": wanted}):
                word = row.pop("word")
                self._accounts[word][row["id"]] = Account(**row)
        wanted = sorted({folded(name) for name in products} - {""})
        if wanted:
            for row in await tx.all(PRODUCTS, {"words": wanted}):
                self._products[row["word"]].add(row["id"])

    def owner(self, name: str) -> tuple[str, str]:
        """Person and unit; people who have left still own what they sold."""
        person = self.home.org.person(name)
        if person is None:
            person = self.home.org.people[_only(list(self._people.get(folded(name), ())), "owner", name)]
        return person.id, person.unit_id

    def account(self, name: str) -> Account:
        """An empty one for no name: a deal without an account is legal."""
        if not name:
            return Account()
        found = self._accounts.get(folded(name), {})
        return found[_only(list(found), "account", name)]

    def product(self, name: str) -> str:
        return _only(list(self._products.get(folded(name), ())), "product", name) if name else ""

    def dwell_days(self, since: datetime, calendar: str, unit_id: str, until: datetime) -> float | None:
        """None in years no calendar knows: history must not wait for them."""
        try:
            return self._dwell.days(since, calendar, unit_id, until)
        except errors.FailedPrecondition:
            return None


def _only(found: list[str], what: str, name: str) -> str:
    if len(found) == 1:
        return found[0]
    if found:
        raise errors.InvalidArgument(
            f"{what.upper()}_AMBIGUOUS", f"{name} may be {' or '.join(sorted(found)[:5])}; give the id", {what: name}
        )
    raise errors.InvalidArgument(f"{what.upper()}_UNKNOWN", f"nothing here is called {name}", {what: name})
