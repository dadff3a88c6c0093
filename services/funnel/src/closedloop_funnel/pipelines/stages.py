"""The parts of a pipeline as the rulebook writes them."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import ClockSetting, Part

EvidenceWord = Literal["note", "document", "photo", "activity", "matrix", "proposal", "quote", "contract", "field"]
StageWord = Literal["open", "won", "lost", "archived"]
CategoryWord = Literal["pipeline", "best_case", "commit", "closed", "omitted"]
ChainWord = Literal["", "profile", "need", "proposal", "quote_approval", "contract", "archive"]
Key = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")

# A decision or a signature is never replaced by a reason (S66).
GATES = ("quote", "contract")


class EvidenceRule(Part):
    """What a step must leave behind. `detail`: the field's name of a "field", the action unit that an "activity" verifies
    or whose form a "matrix" has. `least_characters`: letters and digits of a note that proves it."""

    key: str = Key
    name: str = Field(min_length=1, max_length=200)
    kind: EvidenceWord
    minimum: int = Field(default=1, ge=1, le=100)
    mandatory: bool = True
    detail: str = Field(default="", max_length=64)
    least_characters: int = Field(default=4, ge=1, le=2000)


class StageRule(Part):
    """One step. `aliases` are what other systems call it; no `next_stage_keys` means the following open stage."""

    key: str = Key
    name: str = Field(min_length=1, max_length=200)
    aliases: tuple[str, ...] = ()
    kind: StageWord = "open"
    chain_step: ChainWord = ""
    probability: float = Field(ge=0, le=1)
    category: CategoryWord
    requirements: tuple[EvidenceRule, ...] = ()
    action_unit_keys: tuple[str, ...] = ()
    next_stage_keys: tuple[str, ...] = ()
    dwell_limit_days: float = Field(default=0, ge=0, le=3660)
    pace_limit_days: float = Field(default=0, ge=0, le=3660)
    calendar: str = Field(default="business", min_length=1, max_length=64)
    proposal_expected: bool = False
    retired: bool = False

    @cached_property
    def dwell_clock(self) -> ClockSetting | None:
        """Runs out at the dwell limit; warns at the healthy pace where that comes first."""
        if not self.dwell_limit_days:
            return None
        warns = 0 < self.pace_limit_days < self.dwell_limit_days
        warn_at = self.pace_limit_days / self.dwell_limit_days if warns else None
        return ClockSetting(days=self.dwell_limit_days, calendar=self.calendar, warn_at=warn_at)

    @cached_property
    def pace_clock(self) -> ClockSetting | None:
        """What is left of the healthy pace when the dwell limit runs out first; then the director is told (S58)."""
        left = self.pace_limit_days - self.dwell_limit_days
        return ClockSetting(days=left, calendar=self.calendar) if self.dwell_limit_days and left > 0 else None


class ReasonRule(Part):
    """Why deals are won or lost; "unknown" is what imports take when they are told none."""

    code: str = Key
    name: str = Field(min_length=1, max_length=200)
    kind: Literal["won", "lost"]
    comment_required: bool = False


class PipelineRule(Part):
    """A road from the first open stage to won or lost, and on to the archive. `history_only`: for deals of the past that come
    by import; who works one by hand opens it elsewhere."""

    name: str = Field(min_length=1, max_length=200)
    pack: str = Field(default="", max_length=64)
    unit_ids: tuple[str, ...] = ()
    stages: tuple[StageRule, ...] = Field(min_length=3, max_length=100)
    reasons: tuple[ReasonRule, ...] = ()
    retired: bool = False
    history_only: bool = False

    def model_post_init(self, context: object, /) -> None:
        keys = [stage.key for stage in self.stages]
        requirements = [requirement.key for stage in self.stages for requirement in stage.requirements]
        reasons = [(reason.kind, reason.code) for reason in self.reasons]
        for what, found in (("stage", keys), ("requirement", requirements), ("reason", reasons)):
            twice = [key for key, count in Counter(found).items() if count > 1]
            if twice:
                raise ValueError(f"{what} {twice[0]} is there twice")
        unknown = {key for stage in self.stages for key in stage.next_stage_keys} - set(keys)
        if unknown:
            raise ValueError(f"next stage {sorted(unknown)[0]} is no stage of the pipeline")
        for kind in ("open", "won", "lost"):
            if not any(stage.kind == kind and not stage.retired for stage in self.stages):
                raise ValueError(f"a pipeline needs a stage of kind {kind}")

    @property
    def first(self) -> StageRule:
        return next(stage for stage in self.stages if stage.kind == "open" and not stage.retired)

    def of_kind(self, kind: StageWord) -> StageRule | None:
        return next((stage for stage in self.stages if stage.kind == kind and not stage.retired), None)

    def reason(self, kind: str, code: str) -> ReasonRule | None:
        return next((reason for reason in self.reasons if reason.kind == kind and reason.code == code), None)

    def requirement(self, key: str) -> EvidenceRule | None:
        return next((rule for stage in self.stages for rule in stage.requirements if rule.key == key), None)

    def asks_for(self, kind: EvidenceWord) -> bool:
        """Whether any step demands evidence of this kind."""
        return any(rule.kind == kind and rule.mandatory for stage in self.stages for rule in stage.requirements)

    def has(self, key: str) -> bool:
        return key in self._by_key

    def stage(self, key: str) -> StageRule:
        """A stage that the rulebook no longer has, but deals still stand in, counts as retired."""
        found = self._by_key.get(key)
        return found or StageRule(key=key, name=key, probability=0, category="pipeline", retired=True)

    @cached_property
    def _by_key(self) -> dict[str, StageRule]:
        return {stage.key: stage for stage in self.stages}

    def called(self, words: str) -> StageRule | None:
        """The stage by key, name or alias, whatever the case."""
        wanted = words.strip().casefold()
        for stage in self.stages:
            if wanted in {stage.key.casefold(), stage.name.casefold(), *(alias.casefold() for alias in stage.aliases)}:
                return stage
        return None
