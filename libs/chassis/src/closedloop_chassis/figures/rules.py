"""Whose figures are, what must be filled in, and from where on data is not believed (S79, S80, S83): every service extends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from closedloop_chassis.org.snapshot import OrgSnapshot, Person
from closedloop_chassis.rulebook.rules import Part, Rules

LightWord = Literal["none", "blue", "yellow", "red"]
LIGHTS: tuple[LightWord, ...] = ("none", "blue", "yellow", "red")
RoleWord = Literal["rep", "manager", "operations", "engineer", "signatory", "executive", "auditor", "admin"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z]+\.[a-z0-9_.]{1,80}$")]


class Owner(Part):
    """Who answers for a figure: a person, or else whoever holds a role."""

    person_id: str = Field(default="", pattern="^[A-Za-z0-9._-]{0,64}$")
    role: RoleWord = "operations"


class Weights(Part):
    """What each dimension counts for; of those that cannot be measured the others take over the weight."""

    completeness: float = Field(default=0.4, ge=0, le=1)
    consistency: float = Field(default=0.3, ge=0, le=1)
    timeliness: float = Field(default=0.3, ge=0, le=1)

    def model_post_init(self, context: object, /) -> None:
        if self.completeness + self.consistency + self.timeliness <= 0:
            raise ValueError("one of the three counts")


class FigureRules(Rules):
    """`owners` by figure or kind of record ("funnel.won_value", "funnel.opportunity"), `owner` for all
    others. `obligatory` are fields as "record.field". What is recorded later than
    `timely_days` after its day is late (1: T+1). Two numbers deviate when they are further apart than `tolerance` of the
    larger. A score below `blue_below`, `yellow_below`, `red_below` has that light. `hour`: when the day before is scored."""

    rulebook: ClassVar[str] = "platform.figures"

    owner: Owner = Owner()
    owners: dict[Name, Owner] = Field(default_factory=dict, max_length=500)
    obligatory: tuple[str, ...] = Field(default=(), max_length=200)
    timely_days: int = Field(default=1, ge=0, le=60)
    tolerance: float = Field(default=0.01, ge=0, lt=1)
    weights: Weights = Weights()
    blue_below: float = Field(default=0.98, ge=0, le=1)
    yellow_below: float = Field(default=0.95, ge=0, le=1)
    red_below: float = Field(default=0.85, ge=0, le=1)
    hour: time = time(5)
    # How long a day's counts are kept; a month's stay.
    kept_days: int = Field(default=800, ge=31, le=3660)
    # Of one finding.
    most_examples: int = Field(default=20, ge=1, le=20)

    def model_post_init(self, context: object, /) -> None:
        if not self.red_below <= self.yellow_below <= self.blue_below:
            raise ValueError("red begins below yellow, yellow below blue")

    def misfits(self, org: OrgSnapshot) -> dict[str, str]:
        named = {"owner": self.owner, **{f"owners.{name}": owner for name, owner in self.owners.items()}}
        return {
            f"{field}.person_id": f"nobody is {owner.person_id}"
            for field, owner in named.items()
            if owner.person_id and org.person(owner.person_id) is None
        }

    def owner_of(self, name: str) -> Owner:
        return self.owners.get(name, self.owner)

    def light(self, score: float) -> tuple[LightWord, str]:
        """The light and the line that was crossed."""
        if score < self.red_below:
            return "red", "red_below"
        if score < self.yellow_below:
            return "yellow", "yellow_below"
        if score < self.blue_below:
            return "blue", "blue_below"
        return "none", "blue_below"


def holder(org: OrgSnapshot, owner: Owner) -> str:
    """The person who answers: the one named while active, else of those with the role the one highest in the tree; empty
    while nobody has it."""
    named = org.person(owner.person_id)
    if named is not None and named.active:
        return named.id
    holding = [person for person in org.people.values() if person.active and owner.role in person.roles]
    return min(holding, key=lambda person: _rank(org, person)).id if holding else ""


def _rank(org: OrgSnapshot, person: Person) -> tuple[int, str]:
    return sum(1 for _ in org.ancestry(person.unit_id)), person.id


@dataclass(frozen=True, slots=True)
class Count:
    """What one check found over some rows. `apart` and `whole` are of systems that should agree: how far they are apart, and
    what they speak of."""

    record: str
    dimension: str
    aspect: str
    examined: int
    failed: int
    apart: float = 0.0
    whole: float = 0.0
    examples: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """0..1."""
        if self.dimension == "consistency":
            return max(0.0, 1 - self.apart / self.whole) if self.whole else 1.0
        return 1 - self.failed / self.examined if self.examined else 1.0


@dataclass(frozen=True, slots=True)
class Score:
    """Of one dimension: all its checks together, and each."""

    dimension: str
    together: Count
    counts: tuple[Count, ...]


def scores(counts: Sequence[Count]) -> Iterator[Score]:
    """Of the dimensions in which something was looked at."""
    for dimension in ("completeness", "consistency", "timeliness"):
        own = tuple(count for count in counts if count.dimension == dimension and count.examined)
        if own:
            together = Count(
                own[0].record,
                dimension,
                "",
                sum(count.examined for count in own),
                sum(count.failed for count in own),
                sum(count.apart for count in own),
                sum(count.whole for count in own),
            )
            yield Score(dimension, together, own)


def overall(weights: Weights, found: Mapping[str, float]) -> float | None:
    """The weighted mean of the dimensions that were measured; None without any."""
    weighed = {dimension: getattr(weights, dimension) for dimension in found}
    total = sum(weighed.values())
    return sum(found[each] * weight for each, weight in weighed.items()) / total if total else None
