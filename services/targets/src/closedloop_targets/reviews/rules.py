"""When packs are prepared, and what the system proposes for which cause (S7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import Part, Rules

Kind = Literal["strategy", "resource", "target"]
Light = Literal["none", "blue", "yellow", "red"]


class Remedy(Part):
    """What answers a cause. `{holder}` and `{why}` stand for whose miss it is and how the cause explains itself."""

    kind: Kind
    text: str = Field(min_length=1, max_length=500)


class ReviewRules(Rules):
    """The fortnight's review: its morning, how much it takes in, and remedies by cause."""

    rulebook: ClassVar[str] = "targets.reviews"

    # Days after the fortnight's last one, and the hour of that day, at which packs are prepared.
    after_days: int = Field(default=1, ge=1, le=14)
    hour: int = Field(default=8, ge=0, le=23)
    # Of one pack, the largest first; a page at a time is shown.
    most_deviations: int = Field(default=10_000, ge=1, le=100_000)
    # Of the task to hold a review, and of those that follow from it.
    review_light: Light = "blue"
    follow_up_light: Light = "blue"
    # What the system proposes at most; the largest misses first.
    most_proposals: int = Field(default=5, ge=0, le=100)
    # Of what people write into one pack.
    most_written: int = Field(default=500, ge=1, le=5000)
    remedies: dict[str, Remedy] = Field(
        default={
            "unrealistic_target": Remedy(kind="target", text="{holder}: 重新核定目标 set the target anew ({why})"),
            "uneven_allocation": Remedy(kind="target", text="{holder}: 重新分配 share the targets out again ({why})"),
            "untracked_process": Remedy(kind="strategy", text="{holder}: 跟踪过程 track the process weekly ({why})"),
            "late_feedback": Remedy(kind="resource", text="{holder}: 加快反馈 shorten the way of feedback ({why})"),
        },
        max_length=20,
    )


@dataclass(frozen=True, slots=True)
class Miss:
    """Of one holder in the fortnight; `missing` in words, `share` of what was expected, `cause` the likeliest."""

    holder_id: str
    missing: str
    share: float
    cause: str
    why: str


@dataclass(frozen=True, slots=True)
class Proposal:
    kind: Kind
    text: str
    expected_effect: str


def propose(misses: Sequence[Miss], rules: ReviewRules) -> list[Proposal]:
    """One per miss whose likeliest cause has a remedy; `misses` come the largest first."""
    found: list[Proposal] = []
    for miss in misses:
        remedy = rules.remedies.get(miss.cause)
        if remedy is None or len(found) == rules.most_proposals:
            continue
        said = remedy.text.replace("{holder}", miss.holder_id).replace("{why}", miss.why)
        effect = f"up to {miss.missing} a fortnight, {abs(miss.share):.0%} of what was expected"
        found.append(Proposal(remedy.kind, said[:2000], effect))
    return found
