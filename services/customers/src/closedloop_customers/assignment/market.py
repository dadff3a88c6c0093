"""Who may get a record: what seldom changes of sellers is kept in memory, what every assignment changes is read each time.

Each read of the loads brings the revision of the rest (profiles, leave, suspensions, priority) with it, in the
transaction that chooses: a process whose memory is older reads again before it chooses, so replicas need not tell each
other anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.data.wire import Statement
from closedloop_chassis.org.snapshot import OrgSnapshot, Person
from closedloop_chassis.process import Process
from closedloop_chassis.work import Work
from closedloop_customers.assignment import rules, store
from closedloop_customers.assignment.rules import AssignmentRules, Seller, Subject

# Kinds of records whose sellers are remembered; the next one begins anew.
MOST_KINDS = 1000
Kind = tuple[str, str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Known:
    """One seller without what every assignment changes."""

    seller: Seller
    person: Person
    suspended: bool
    priority_until: datetime | None
    leaves: tuple[store.LeaveAhead, ...]

    def at(self, moment: datetime, now: float, record_type: str, load: int, last: float | None) -> Seller:
        """As the rules see him then. `last`: when he was given one, in seconds since 1970, as `now` is the moment."""
        leave = None
        if self.leaves:
            leave = next((each for each in self.leaves if each.starts_at <= moment < each.ends_at), None)
        away: list[str] = []
        if not self.person.active:
            away.append("inactive")
        if leave is not None:
            away.append("on_leave")
        if self.suspended and record_type == "lead":
            away.append("feed_suspended")
        plain = self.seller
        return Seller(
            plain.person_id,
            plain.name,
            plain.unit_id,
            plain.regions,
            plain.industries,
            plain.product_lines,
            plain.capacity,
            load,
            plain.weight,
            tuple(away),
            leave.stand_in_id if leave is not None else "",
            self.priority_until is not None and self.priority_until > moment,
            None if last is None else max(now - last, 0.0) / 3600,
        )


class _Field:
    """All sellers for one type of record, under one organisation, one rulebook and one revision."""

    def __init__(
        self, record_type: str, known: Sequence[_Known], org: OrgSnapshot, settings: AssignmentRules, revision: int
    ) -> None:
        self.record_type = record_type
        self.revision = revision
        self.known = known
        self.people = [each.person.id for each in known]
        self.all_people = rows.array(self.people)
        self._made_of = (org, settings)
        self._fitting: dict[Kind, tuple[list[_Known], str]] = {}

    def made_of(self, org: OrgSnapshot, settings: AssignmentRules) -> bool:
        return self._made_of[0] is org and self._made_of[1] is settings

    def is_current(self, found: Sequence[Mapping[str, Any]]) -> bool:
        return bool(found[0]["revision"] == self.revision)

    def fitting(self, subject: Subject) -> tuple[Sequence[_Known], str]:
        """Whom region, industry and product lines admit, and their ids as an array."""
        kind = (subject.region_code, subject.industry, subject.product_lines)
        if kind not in self._fitting:
            if len(self._fitting) >= MOST_KINDS:
                self._fitting.clear()
            fit = [each for each in self.known if not rules.fits(subject, each.seller)[1]]
            self._fitting[kind] = fit, rows.array(each.person.id for each in fit)
        return self._fitting[kind]


class Market:
    """The sellers of a company as one process knows them."""

    def __init__(self) -> None:
        self._revision = -1
        self._rows: Mapping[str, store.SellerRow] = {}
        self._leaves: dict[str, tuple[store.LeaveAhead, ...]] = {}
        self._fields: dict[str, _Field] = {}
        # Choices of this process whose transactions are not over: they count, so that who chooses meanwhile takes another.
        self._chosen: dict[Transaction, list[tuple[str, str]]] = {}

    def field(self, work: Work, record_type: str) -> _Field:
        org, settings = work.org, work.rules(AssignmentRules)
        held = self._fields.get(record_type)
        if held is None or not held.made_of(org, settings):
            held = self._fields[record_type] = self._field(org, settings, record_type)
        return held

    def loads(self, field: _Field, people: str) -> Statement:
        """The statement whose one row `sellers` takes; of an array of people."""
        return store.LOADS[field.record_type], {"people": people}

    async def renewed(
        self, work: Work, reader: Reader | Transaction, field: _Field, found: Sequence[Mapping[str, Any]]
    ) -> _Field:
        """The field of the revision that was found; another call may have read it already."""
        if found[0]["revision"] != self._revision:
            await self.renew(reader, work.now)
        return self.field(work, field.record_type)

    async def renew(self, reader: Reader | Transaction, at: datetime) -> None:
        """Reads what seldom changes; its revision first, so that what changes meanwhile is read again."""
        revision = await reader.value(store.REVISION)
        people = await store.sellers(reader)
        leaves: dict[str, list[store.LeaveAhead]] = {}
        for leave in await reader.all(store.LEAVES_AHEAD, {"at": at}, into=store.LeaveAhead):
            leaves.setdefault(leave.person_id, []).append(leave)
        self._leaves = {person: tuple(found) for person, found in leaves.items()}
        self._rows, self._revision = people, revision
        self._fields.clear()

    def sellers(
        self, known: Sequence[_Known], found: Sequence[Mapping[str, Any]], record_type: str, at: datetime, tx: Any
    ) -> list[Seller]:
        """`tx`: whose own choices its reads have seen."""
        (held,) = found
        loads = dict(zip(held["people"] or (), zip(held["loads"] or (), held["lasts"] or (), strict=True), strict=True))
        chosen = Counter(key for other, keys in self._chosen.items() if other is not tx for key in keys)
        sellers, now = [], at.timestamp()
        for each in known:
            person_id = each.person.id
            load, last = loads.get(person_id, (0, None))
            seller = each.at(at, now, record_type, load, last)
            if (record_type, person_id) in chosen:
                seller = replace(seller, load=load + chosen[record_type, person_id], rested_hours=0.0)
            sellers.append(seller)
        return sellers

    def choose(self, tx: Transaction, record_type: str, person_id: str) -> None:
        """Counts until the transaction is over."""
        if tx not in self._chosen:
            self._chosen[tx] = []
            tx.at_end(partial(self._chosen.__delitem__, tx))
        self._chosen[tx].append((record_type, person_id))

    def _field(self, org: OrgSnapshot, settings: AssignmentRules, record_type: str) -> _Field:
        of_leads = record_type == "lead"
        default = settings.lead_capacity if of_leads else settings.account_capacity
        known = []
        for person in org.people.values():
            if not settings.seller_roles & set(person.roles):
                continue
            row = self._rows.get(person.id) or store.SellerRow(person.id)
            capacity = row.profile.get(f"{record_type}_capacity")
            reach = rules.reach(org, person, row.profile)
            seller = Seller(
                person_id=person.id,
                name=person.name,
                unit_id=person.unit_id,
                regions=reach["regions"],
                industries=reach["industries"],
                product_lines=reach["product_lines"],
                capacity=default if capacity is None else int(capacity),
                weight=float(row.profile.get("weight", 1.0)),
            )
            suspended = row.suspended_at is not None
            known.append(_Known(seller, person, suspended, row.priority_until, self._leaves.get(person.id, ())))
        return _Field(record_type, known, org, settings, self._revision)


_markets: WeakKeyDictionary[Process, Market] = WeakKeyDictionary()


def of(work: Work) -> Market:
    """The one of this process."""
    market = _markets.get(work.process)
    if market is None:
        market = _markets[work.process] = Market()
    return market


async def everybody(
    work: Work, reader: Reader | Transaction, record_type: str, at: datetime | None = None, *, alone: bool = False
) -> list[Seller]:
    """All sellers of the company as the rules see them at `at`. One round trip, more where memory is old. `alone`:
    nobody else is given anything of the kind until this transaction ends."""
    market, at = of(work), at or work.now
    field = market.field(work, record_type)
    if alone:
        assert isinstance(reader, Transaction)
        reader.do(store.HOLD_LOADS, {"people": field.people})
    found = await reader.all(*market.loads(field, field.all_people))
    # Of the field that was asked with, not of the memory: that may have been renewed by others in between.
    while not field.is_current(found):
        field = await market.renewed(work, reader, field, found)
        found = await reader.all(*market.loads(field, field.all_people))
    return market.sellers(field.known, found, record_type, at, reader)


class Question:
    """Who would get one record: `statement` goes into whatever round trip there is, `answered` takes its rows."""

    def __init__(self, work: Work, record_type: str, subject: Subject) -> None:
        self._work = work
        self._record_type = record_type
        self._subject = subject
        self._market = of(work)
        self._field = self._market.field(work, record_type)
        self._fit, people = self._field.fitting(subject)
        if len(self._fit) < work.rules(AssignmentRules).shown_candidates:
            self._fit, people = self._field.known, self._field.all_people
        self.statement = self._market.loads(self._field, people)

    async def answered(
        self, found: Sequence[Mapping[str, Any]], reader: Reader | Transaction, besides: str = ""
    ) -> list[Seller]:
        """Whom the rules may choose from, and enough of the others to show; one round trip more of `reader` where memory
        is old, where somebody was overtaken (and `reader` is his transaction), or where `besides` does not fit and is
        asked for anyway."""
        work = self._work
        stranger = besides and all(each.person.id != besides for each in self._fit)
        if work.overtaken or stranger or not self._field.is_current(found):
            return await everybody(work, reader, self._record_type, alone=work.overtaken)
        return self._market.sellers(self._fit, found, self._record_type, work.now, work.tx)
