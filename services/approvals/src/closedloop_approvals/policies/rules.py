"""From facts to a route: which policies hold, which signatures they ask for, and whose.

All policies that hold contribute their steps, in the order of the rulebook. Policies without steps clear; when nothing
holds at all the matter must not proceed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from closedloop_approvals import signatories
from closedloop_approvals.policies.condition import Verdicts, compiled
from closedloop_approvals.policies.rulebook import ApprovalPolicyRules, Mode, OnOverdue, PolicyRule, StepRule
from closedloop_approvals.signatories import About, Candidate
from closedloop_chassis import errors
from closedloop_chassis.org.snapshot import OrgSnapshot
from closedloop_chassis.rulebook.rules import ClockSetting


@dataclass(frozen=True, slots=True)
class Facts:
    """What policies may look at; amounts in units of the base currency, None where unknown."""

    kind: str
    origin: str
    submitter_id: str
    owner_id: str
    unit_id: str
    amount: float | None = None
    currency: str = ""
    discount_ratio: float | None = None
    margin_ratio: float | None = None
    payment_days: int | None = None
    account_id: str = ""
    account_grade: str = ""
    industry: str = ""
    region: str = ""
    product_ids: tuple[str, ...] = ()
    major_project: bool = False
    custom: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another matter of the same customer, or owner, and kind that may count together with this one."""

    request_id: str
    amount: float
    submitted_at: datetime


@dataclass(frozen=True, slots=True)
class Slot:
    """One signature and the people of whom any one may give it."""

    people: tuple[Candidate, ...]


# Who may give the signature that a word asks for, the others passed over.
People = Callable[[str, Collection[str]], tuple[Candidate, ...]]


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step with the people found for it, and the policy that asks for it."""

    name: str
    mode: Mode
    quorum: int
    parallel_group: int
    slots: tuple[Slot, ...]
    policy: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """Which policy decided and why, in one sentence with its inputs."""

    policy: str
    explanation: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The way through the signatures; no steps: cleared at once."""

    steps: tuple[PlannedStep, ...]
    references: tuple[Reference, ...]
    accumulated_ids: tuple[str, ...]
    accumulated_amount: float | None
    decision: ClockSetting
    on_overdue: OnOverdue
    # What silence means, in the policies' words.
    silence: str


def holding(
    facts: Facts,
    rules: ApprovalPolicyRules,
    neighbours: Sequence[Neighbour],
    now: datetime,
    verdicts: Verdicts | None = None,
) -> list[tuple[PolicyRule, Reference]]:
    """The policies that hold, with reasons; with `verdicts` what was decided before is not decided again.

    Raises InvalidArgument FACTS_INCOMPLETE, FailedPrecondition NO_POLICY_APPLIES.
    """
    found: list[tuple[PolicyRule, Reference]] = []
    for policy in rules.policies:
        if facts.kind not in policy.kinds:
            continue
        condition = compiled(policy.condition)
        values = _values(facts, _within(neighbours, policy.accumulation_days, now))
        try:
            holds = verdicts.holds(condition, values) if verdicts else condition.holds(values)
        except ValueError as error:
            raise errors.InvalidArgument(
                "FACTS_INCOMPLETE",
                f"policy {policy.name} cannot be applied to these facts: {error}",
                {f"facts.{name}": "is looked at by the policy" for name in condition.names if values.get(name) is None},
                policy=policy.name,
            ) from error
        if holds:
            inputs = ", ".join(f"{name} {_said(values[name])}" for name in condition.names if name in values)
            found.append((policy, Reference(policy.name, policy.explanation + (f" ({inputs})" if inputs else ""))))
    if not found:
        raise errors.FailedPrecondition(
            "NO_POLICY_APPLIES",
            f"no policy of approvals.policies lets a {facts.kind} with these facts proceed",
            kind=facts.kind,
        )
    return found


def plan(
    facts: Facts,
    rules: ApprovalPolicyRules,
    org: OrgSnapshot,
    neighbours: Sequence[Neighbour],
    now: datetime,
    due: Callable[[ClockSetting], datetime],
    parties: Collection[str] = (),
) -> Plan:
    """The route of a matter. `parties` never sign it: who submitted, opened or owns it. Of several times to decide
    in, the one that is `due` first counts.

    Raises as `holding` does, and FailedPrecondition SIGNER_NOT_FOUND for a word that names nobody.
    """
    return planned(holding(facts, rules, neighbours, now), facts, rules, org, neighbours, now, due, parties)


def planned(
    held: list[tuple[PolicyRule, Reference]],
    facts: Facts,
    rules: ApprovalPolicyRules,
    org: OrgSnapshot,
    neighbours: Sequence[Neighbour],
    now: datetime,
    due: Callable[[ClockSetting], datetime],
    parties: Collection[str] = (),
) -> Plan:
    """The route that these policies make. Raises FailedPrecondition SIGNER_NOT_FOUND."""
    about = About(facts.owner_id, facts.unit_id, facts.submitter_id)
    never = {facts.submitter_id, facts.owner_id, *parties} - {""}

    def people(word: str, others: Collection[str]) -> tuple[Candidate, ...]:
        found = signatories.find(word, about, org, rules.titles, never | set(others))[: rules.most_per_word]
        if not found:
            raise errors.FailedPrecondition(
                "SIGNER_NOT_FOUND",
                f"nobody {'else ' if others else ''}in the organisation is {word} for this matter",
                word=word,
            )
        return tuple(found)

    wide = max((policy.accumulation_days for policy, _ in held), default=0)
    counted = _within(neighbours, wide, now)
    return Plan(
        steps=_without_repetition(_steps(held, people)),
        references=tuple(reference for _, reference in held),
        accumulated_ids=tuple(neighbour.request_id for neighbour in counted),
        accumulated_amount=_sum(facts.amount, counted) if counted else None,
        decision=min((policy.decision or rules.decision for policy, _ in held), key=due),
        **_silence([policy for policy, _ in held if policy.steps]),
    )


def _silence(asking: list[PolicyRule]) -> dict[str, Any]:
    """The strictest of those that ask for signatures wins; silence approves only where all of them say so."""
    ends = {policy.on_overdue for policy in asking}
    end: OnOverdue = "reject" if "reject" in ends else "approve" if ends == {"approve"} else "escalate"
    words = "; ".join(policy.silence for policy in asking if policy.on_overdue == end and policy.silence)
    return {"on_overdue": end, "silence": words}


def _steps(held: list[tuple[PolicyRule, Reference]], people: People) -> Iterable[PlannedStep]:
    seen: set[tuple[Any, ...]] = set()
    for place, (policy, _) in enumerate(held):
        for step in policy.steps:
            same = (step.name, step.signers, step.mode, step.quorum)
            if same in seen:
                continue
            seen.add(same)
            # Groups of different policies do not run into each other.
            group = step.parallel_group and place * 1000 + step.parallel_group
            yield PlannedStep(step.name, step.mode, step.quorum, group, _slots(step, people), policy.name, step.signers)


def _slots(step: StepRule, people: People) -> tuple[Slot, ...]:
    """Raises FailedPrecondition SIGNER_NOT_FOUND."""
    if step.mode == "any":
        # Where one signature is enough it may be anybody's.
        return tuple(Slot(people(word, ())) for word in step.signers)
    if step.quorum <= len(step.signers):
        return _of_different_people(step.signers, people)
    everyone = {person.person_id: person for word in step.signers for person in people(word, ())}
    if len(everyone) < step.quorum:
        raise _too_few(step.signers)
    return tuple(Slot((person,)) for person in everyone.values())


def _of_different_people(words: Sequence[str], people: People) -> tuple[Slot, ...]:
    """Two signatures of one step are two people's, or a countersignature would be worth nothing.

    Who alone can give an earlier one is passed over for the next; who could give several is asked for one of them.
    Raises FailedPrecondition SIGNER_NOT_FOUND where there are fewer people than signatures.
    """
    found: list[tuple[Candidate, ...]] = []
    for word in words:
        found.append(people(word, {slot[0].person_id for slot in found if len(slot) == 1}))
    seats = _seated([[person.person_id for person in slot] for slot in found])
    if seats is None:
        raise _too_few(words)
    return tuple(Slot(tuple(p for p in slot if seats[p.person_id] == place)) for place, slot in enumerate(found))


def _too_few(words: Sequence[str]) -> errors.FailedPrecondition:
    return errors.FailedPrecondition(
        "SIGNER_NOT_FOUND", f"{', '.join(words)} are fewer people than signatures for this matter", word=words[-1]
    )


def _seated(slots: Sequence[Sequence[str]]) -> dict[str, int] | None:
    """The one slot of each person, so that no slot is empty (augmenting paths); None where that cannot be."""
    seats: dict[str, int] = {}

    def fill(place: int, tried: set[str]) -> bool:
        for person in sorted(slots[place], key=seats.__contains__):
            if person not in tried:
                tried.add(person)
                if person not in seats or fill(seats[person], tried):
                    seats[person] = place
                    return True
        return False

    if not all(fill(place, set()) for place in range(len(slots))):
        return None
    for place, slot in enumerate(slots):
        for person in slot:
            seats.setdefault(person, place)
    return seats


def _without_repetition(steps: Iterable[PlannedStep]) -> tuple[PlannedStep, ...]:
    """Whoever certainly signed at an earlier step is not asked again at a later one that he could settle alone."""
    kept: list[PlannedStep] = []
    signed: set[str] = set()
    for step in steps:
        if step.mode in ("single", "all", "sequence"):
            slots = tuple(slot for slot in step.slots if not any(person.person_id in signed for person in slot.people))
            if not slots:
                continue
            step = replace(step, slots=slots)
            signed.update(slot.people[0].person_id for slot in slots if len(slot.people) == 1)
        kept.append(step)
    return tuple(kept)


def _within(neighbours: Sequence[Neighbour], days: float, now: datetime) -> list[Neighbour]:
    return [other for other in neighbours if other.submitted_at > now - timedelta(days=days)] if days else []


def _sum(amount: float | None, others: Sequence[Neighbour]) -> float | None:
    """To the smallest coin: three floats of 333,333.33 and the like must not fall short of a million by a bit."""
    return None if amount is None else round(math.fsum([amount, *(other.amount for other in others)]), 4)


def _values(facts: Facts, together: Sequence[Neighbour]) -> dict[str, Any]:
    return {
        "kind": facts.kind,
        "origin": facts.origin,
        "amount": facts.amount,
        "accumulated_amount": _sum(facts.amount, together),
        "currency": facts.currency,
        "discount_ratio": facts.discount_ratio,
        "margin_ratio": facts.margin_ratio,
        "payment_days": facts.payment_days,
        "account_id": facts.account_id,
        # Not told is unknown, not some grade or region besides those a policy names.
        "account_grade": facts.account_grade or None,
        "industry": facts.industry or None,
        "region": facts.region or None,
        "product_ids": facts.product_ids,
        "major_project": facts.major_project,
        "owner_id": facts.owner_id,
        "unit_id": facts.unit_id,
        "submitter_id": facts.submitter_id,
        "custom": facts.custom or {},
    }


def _said(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".")
    if isinstance(value, Mapping | tuple):
        return f"of {len(value)}"
    return "unknown" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
