"""BacktestPolicies: a draft tried on the requests of a past period (U19).

Each request is routed twice by the organisation of today: by the policies that held for it when it was asked, and by
the draft. Whatever differs, differs because of the policies, not because people moved.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from google.protobuf import json_format

from closedloop.approvals.v1 import policies_pb2 as pb
from closedloop.common.v1.common_pb2 import RuleReference
from closedloop_approvals import routing
from closedloop_approvals.policies import rules as policies
from closedloop_approvals.policies.condition import Verdicts
from closedloop_approvals.policies.rulebook import ApprovalPolicyRules
from closedloop_approvals.policies.rules import Neighbour, Plan, Reference
from closedloop_approvals.routing import Matter
from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import ClockSetting
from closedloop_chassis.rulebook.shelf import Shelf
from closedloop_chassis.work import Call

PAGE = 500
# Others get their turn after so many.
BREATH = 5
MOST_DIFFERENCES = 1000

PAST = """
SELECT id, origin, kind, subject_id, facts, submitter_id, opened_by, owner_id, unit_id, account_id, base_minor, state,
       policies, coalesce((rules -> 0 ->> 'version')::bigint, 0) AS version, opened_at,
       coalesce(submitted_at, opened_at) AS submitted_at
  FROM approval_request
 WHERE opened_at >= %(from)s AND opened_at < %(to)s AND NOT imported AND (%(kind)s = '' OR kind = %(kind)s)
   AND (opened_at, id) > (%(after)s, %(after_id)s::uuid)
 ORDER BY opened_at, id LIMIT %(limit)s
"""
# What counted together with each when it was submitted, over the longest window that anybody asks for.
BESIDE = """
SELECT r.id AS of, n.id, n.base_minor, coalesce(n.submitted_at, n.opened_at) AS submitted_at
  FROM approval_request r
  CROSS JOIN LATERAL (SELECT account_family(r.account_id) AS ids OFFSET 0) family
  JOIN approval_request n
    ON (n.account_id = ANY(family.ids) OR (n.owner_id = r.owner_id AND (r.account_id IS NULL OR n.account_id IS NULL)))
   AND n.kind = r.kind
   AND coalesce(n.submitted_at, n.opened_at) > coalesce(r.submitted_at, r.opened_at) - %(window)s
   AND coalesce(n.submitted_at, n.opened_at) < coalesce(r.submitted_at, r.opened_at)
 WHERE r.id = ANY(%(ids)s::uuid[]) AND n.base_minor IS NOT NULL AND n.state IN ('pending', 'returned', 'approved')
   AND (n.origin, n.subject_id) <> (r.origin, r.subject_id)
 ORDER BY 4, n.id
"""


@dataclass(slots=True)
class Figures:
    """What came of it so far."""

    examined: int = 0
    changed: int = 0
    added: int = 0
    dropped: int = 0
    approved_then_blocked: int = 0
    rejected_then_cleared: int = 0
    before: Counter[str] = field(default_factory=Counter)
    after: Counter[str] = field(default_factory=Counter)
    differences: list[pb.RouteDifference] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Way:
    """A route as it is compared; `refused` says why there would be none."""

    steps: tuple[tuple[str, str, int, tuple[tuple[str, ...], ...]], ...] = ()
    refused: str = ""

    @property
    def signatures(self) -> int:
        """Needed, whoever of several gives them."""
        return sum({"any": 1, "quorum": quorum}.get(mode, len(slots)) for _, mode, quorum, slots in self.steps)

    def people(self) -> Iterator[str]:
        """Everyone who is asked."""
        return (person for *_, slots in self.steps for slot in slots for person in slot)

    def __str__(self) -> str:
        if self.refused:
            return f"refused: {self.refused}"
        said = [f"{name}: {', '.join('/'.join(slot) for slot in slots)}" for name, _, _, slots in self.steps]
        return "; ".join(said) or "cleared at once"


async def backtest(
    draft: ApprovalPolicyRules, kind: str, start: datetime, end: datetime, call: Call
) -> pb.BacktestPoliciesResponse:
    """Raises FailedPrecondition PERIOD_TOO_LARGE when the deadline would pass before the end of the period."""
    figures, bench = Figures(), _Bench(draft, call)
    after: tuple[datetime, str] = (start - timedelta(seconds=1), "00000000-0000-0000-0000-000000000000")
    while True:
        params = {"from": start, "to": end, "kind": kind, "after": after[0], "after_id": after[1], "limit": PAGE}
        rows = await call.db.all(PAST, params)
        beside = await _beside([row["id"] for row in rows], bench.window, call)
        for row in rows:
            _count(figures, row, *bench.try_on(row, beside[row["id"]]))
            if figures.examined % BREATH == 0:
                await asyncio.sleep(0)
        if len(rows) < PAGE:
            return _answer(figures)
        after = rows[-1]["opened_at"], rows[-1]["id"]
        if asyncio.get_running_loop().time() > bench.gives_up_at:
            raise errors.FailedPrecondition(
                "PERIOD_TOO_LARGE",
                f"{figures.examined} requests were tried and the time is over; take a shorter period or one kind",
                until=after[0].isoformat(),
            )


async def _beside(ids: list[str], window: timedelta, call: Call) -> Mapping[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    if window:
        for row in await call.db.all(BESIDE, {"ids": ids, "window": window}):
            found[row.pop("of")].append(row)
    return found


class _Bench:
    """Routes requests by the rulebook of their time and by the draft; conditions are decided once per set of facts."""

    def __init__(self, draft: ApprovalPolicyRules, call: Call) -> None:
        self._draft = draft
        self._org = call.org
        self._calendars = call.calendars
        self._shelf = call.process.rulebooks
        self._verdicts = Verdicts()
        self._editions: dict[int, ApprovalPolicyRules] = {0: ApprovalPolicyRules()}
        # A part of the deadline stays for the answer.
        self.gives_up_at = asyncio.get_running_loop().time() + 0.9 * call.method.deadline

    @property
    def window(self) -> timedelta:
        """The longest of the draft and of every version that was ever in force."""
        known = [self._edition(e.version) for e in self._shelf.history(ApprovalPolicyRules.rulebook)]
        return max(rules.longest_window for rules in (self._draft, *known, ApprovalPolicyRules()))

    def try_on(self, row: dict[str, Any], beside: list[dict[str, Any]]) -> tuple[Way, Way, Reference | None]:
        """The way it went, the way it would go, and what would decide so."""
        told = json_format.ParseDict(row["facts"], pb.Facts())
        matter = Matter(
            row["kind"], row["origin"], row["subject_id"], told, row["submitter_id"], row["owner_id"], row["unit_id"]
        )
        then = self._edition(row["version"])
        facts = routing.facts_of(matter, _units(row["base_minor"], then.base_currency))
        neighbours = [
            Neighbour(other["id"], _units(other["base_minor"], then.base_currency) or 0.0, other["submitted_at"])
            for other in beside
        ]
        at, parties = row["submitted_at"], (row["opened_by"],)

        def due(decision: ClockSetting) -> datetime:
            return self._calendars.due(decision, at, matter.unit_id)

        held = [(p, Reference(p.name, p.explanation)) for p in then.policies if p.name in row["policies"]]
        was, _ = _way(lambda: policies.planned(held, facts, then, self._org, neighbours, at, due, parties))

        def drafted() -> Plan:
            holding = policies.holding(facts, self._draft, neighbours, at, self._verdicts)
            return policies.planned(holding, facts, self._draft, self._org, neighbours, at, due, parties)

        would_be, plan = _way(drafted)
        return was, would_be, plan.references[0] if plan else None

    def _edition(self, version: int) -> ApprovalPolicyRules:
        if version not in self._editions:
            self._editions[version] = _of_version(self._shelf, version)
        return self._editions[version]


def _of_version(shelf: Shelf, version: int) -> ApprovalPolicyRules:
    edition = next(e for e in shelf.history(ApprovalPolicyRules.rulebook) if e.version == version)
    return ApprovalPolicyRules.model_validate(edition.body)


def _way(plan: Callable[[], Plan]) -> tuple[Way, Plan | None]:
    try:
        made = plan()
    except errors.DomainError as error:
        return Way(refused=error.reason), None
    steps = (
        (s.name, s.mode, s.quorum, tuple(tuple(person.person_id for person in slot.people) for slot in s.slots))
        for s in made.steps
    )
    return Way(tuple(steps)), made


def _count(figures: Figures, row: dict[str, Any], was: Way, would_be: Way, decides: Reference | None) -> None:
    figures.examined += 1
    figures.before.update(was.people())
    figures.after.update(would_be.people())
    if was == would_be:
        return
    figures.changed += 1
    figures.added += max(would_be.signatures - was.signatures, 0)
    figures.dropped += max(was.signatures - would_be.signatures, 0)
    figures.approved_then_blocked += row["state"] == "approved" and bool(would_be.refused)
    figures.rejected_then_cleared += row["state"] == "rejected" and not would_be.steps and not would_be.refused
    if len(figures.differences) < MOST_DIFFERENCES:
        rule = RuleReference(rulebook=ApprovalPolicyRules.rulebook)
        if decides is not None:
            rule.rule, rule.explanation = f"policies.{decides.policy}", decides.explanation[:2000]
        figures.differences.append(
            pb.RouteDifference(request_id=row["id"], was=str(was), would_be=str(would_be), rule=rule)
        )


def _answer(figures: Figures) -> pb.BacktestPoliciesResponse:
    people = sorted(
        figures.before.keys() | figures.after.keys(), key=lambda p: (-max(figures.before[p], figures.after[p]), p)
    )
    return pb.BacktestPoliciesResponse(
        examined=figures.examined,
        changed=figures.changed,
        signatures_added=figures.added,
        signatures_dropped=figures.dropped,
        approved_then_blocked=figures.approved_then_blocked,
        rejected_then_cleared=figures.rejected_then_cleared,
        loads=[
            pb.SignerLoad(person_id=p, signatures_before=figures.before[p], signatures_after=figures.after[p])
            for p in people
        ],
        differences=figures.differences,
    )


def _units(minor: int | None, currency: str) -> float | None:
    return None if minor is None else minor / routing.scale(currency)
