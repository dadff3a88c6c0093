"""`approvals.policies`: who must sign what, as a sales operator writes it."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from closedloop_approvals import signatories
from closedloop_approvals.policies.condition import compiled
from closedloop_approvals.signatories import Word
from closedloop_chassis.org.snapshot import OrgSnapshot
from closedloop_chassis.rulebook.rules import ClockSetting, Part, Rules

Mode = Literal["single", "any", "all", "quorum", "sequence"]
OnOverdue = Literal["escalate", "reject", "approve"]


class StepRule(Part):
    """One station: every word of `signers` is one signature, which anyone found for the word may give.

    A quorum of more than there are words is one of people: two of `role:finance`.
    """

    name: str = Field(min_length=1, max_length=100)
    signers: tuple[Word, ...] = Field(min_length=1, max_length=50)
    mode: Mode = "single"
    quorum: int = Field(default=0, ge=0, le=50)
    # Neighbouring steps with the same number run side by side; 0: alone.
    parallel_group: int = Field(default=0, ge=0, le=100)

    @model_validator(mode="after")
    def _counts(self) -> StepRule:
        if self.mode == "single" and len(self.signers) != 1:
            raise ValueError("a single step has one signer")
        if len(set(self.signers)) < len(self.signers):
            raise ValueError("one word stands twice: the same person could give both signatures")
        if (self.mode == "quorum") != (self.quorum > 0):
            raise ValueError("a quorum is at least one, and only a quorum step has one")
        if self.quorum > len(self.signers) and not any("role:" in word for word in self.signers):
            raise ValueError("a quorum is at most the number of signers, unless a role among them is many people")
        return self


class PolicyRule(Part):
    """A condition over the facts (CEL) and the steps it asks for; no steps: cleared by this rule."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    title: str = Field(min_length=1, max_length=200)
    kinds: tuple[str, ...] = Field(min_length=1, max_length=50)
    condition: str = "true"
    explanation: str = Field(min_length=1, max_length=500)
    steps: tuple[StepRule, ...] = Field(default=(), max_length=20)
    # Matters of one customer (of one owner, where one of them names none) and kind within so many days count together in
    # `accumulated_amount`; 0: they do not.
    accumulation_days: float = Field(default=0, ge=0, le=366)
    # Time for the whole route, shared by its steps; null: the rulebook's.
    decision: ClockSetting | None = None
    # When the time is up. Nothing is approved by silence unless `silence` says so in words; they go on the trail.
    on_overdue: OnOverdue = "escalate"
    silence: str = Field(default="", max_length=500)

    @field_validator("condition")
    @classmethod
    def _readable(cls, value: str) -> str:
        compiled(value)
        return value

    @model_validator(mode="after")
    def _comes_to_an_end(self) -> PolicyRule:
        asked: dict[frozenset[str], int] = {}
        for number, step in enumerate(self.steps, 1):
            before = asked.setdefault(frozenset(step.signers), number)
            if before != number:
                raise ValueError(f"a cycle: step {number} goes back to the signers of step {before}")
        return self

    @model_validator(mode="after")
    def _silence_is_in_words(self) -> PolicyRule:
        if self.on_overdue == "approve" and not self.silence.strip():
            raise ValueError("silence approves only where `silence` says so in words")
        return self


class ApprovalPolicyRules(Rules):
    """Who must sign what. Amounts in conditions are in `base_currency`."""

    rulebook: ClassVar[str] = "approvals.policies"

    base_currency: str = Field(default="CNY", pattern="^[A-Z]{3}$")
    # "<title>_of_owner" is the manager of the nearest unit of that kind. Nobody stands above the top: finance signs there.
    titles: dict[str, str] = Field(default={"director": "region", "area_manager": "area", "team_leader": "team"})
    decision: ClockSetting = ClockSetting(hours=8, calendar="business", warn_at=0.5)
    # At most so many people are asked for one word such as "role:finance".
    most_per_word: int = Field(default=20, ge=1, le=200)
    policies: tuple[PolicyRule, ...] = (
        PolicyRule(
            name="small_discount",
            title="Small discount",
            kinds=("quote", "discount"),
            condition="discount_ratio <= 0.10",
            explanation="a discount of at most 10 % needs no signature",
        ),
        PolicyRule(
            name="discount",
            title="Discount",
            kinds=("quote", "discount"),
            condition="discount_ratio > 0.10 && discount_ratio <= 0.20",
            explanation="a discount above 10 % needs the manager",
            steps=(StepRule(name="manager", signers=("manager_of_owner|role:finance",)),),
        ),
        PolicyRule(
            name="large_discount",
            title="Large discount",
            kinds=("quote", "discount"),
            condition="discount_ratio > 0.20",
            explanation="a discount above 20 % needs the manager, then the director",
            steps=(
                StepRule(name="manager", signers=("manager_of_owner|role:finance",)),
                StepRule(name="director", signers=("director_of_owner|role:finance",)),
            ),
        ),
        PolicyRule(
            name="contract",
            title="Contract",
            kinds=("contract",),
            explanation="every contract needs the manager",
            steps=(StepRule(name="manager", signers=("manager_of_owner|role:finance",)),),
        ),
        PolicyRule(
            name="major_project",
            title="Major project",
            kinds=("quote", "discount", "contract"),
            condition="major_project || (has(facts.amount) && accumulated_amount >= 1000000.0)",
            explanation="a project of 1,000,000 CNY or more is countersigned by finance and legal",
            steps=(StepRule(name="countersign", signers=("role:finance", "role:legal"), mode="all"),),
            accumulation_days=7,
        ),
        PolicyRule(
            name="plan_exception",
            title="Plan that does not sum to its parent",
            kinds=("plan_exception",),
            explanation="a plan that leaks is signed by the manager of the parent unit",
            steps=(StepRule(name="parent unit", signers=("manager_of_parent_unit|role:finance|role:operations",)),),
        ),
    )

    @field_validator("policies")
    @classmethod
    def _named_once(cls, value: tuple[PolicyRule, ...]) -> tuple[PolicyRule, ...]:
        if len({policy.name for policy in value}) != len(value):
            raise ValueError("two policies have the same name")
        return value

    def misfits(self, org: OrgSnapshot) -> dict[str, str]:
        """Words that name nobody, and sums of nothing. An organisation that is not there yet is nobody's fault: a pack comes
        before its people."""
        alone = {
            f"policies.{place}.accumulation_days": "accumulated_amount is the amount alone where nothing counts together"
            for place, policy in enumerate(self.policies)
            if not policy.accumulation_days and "accumulated_amount" in compiled(policy.condition).names
        }
        if not org.people:
            return alone
        return alone | {
            f"policies.{place}.steps.{at}.signers": f"nobody is {word}"
            for place, policy in enumerate(self.policies)
            for at, step in enumerate(policy.steps)
            for word in step.signers
            if signatories.vacant(word, org, self.titles)
        }

    @property
    def longest_window(self) -> timedelta:
        return timedelta(days=max((policy.accumulation_days for policy in self.policies), default=0))

    def window(self, kind: str) -> timedelta:
        """In which matters of the kind count together; zero where they do not."""
        days = (policy.accumulation_days for policy in self.policies if kind in policy.kinds)
        return timedelta(days=max(days, default=0))
