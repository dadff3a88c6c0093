"""How a deal may move: forward with evidence, over stages with a reason, backward with a reason (S40)."""

from __future__ import annotations

from dataclasses import dataclass, field

from closedloop_chassis import errors
from closedloop_funnel.opportunities import evidence
from closedloop_funnel.opportunities.record import Held
from closedloop_funnel.pipelines.stages import EvidenceRule, PipelineRule, StageRule


@dataclass(frozen=True, slots=True)
class Step:
    """A move that is allowed, and what it passed over."""

    to: StageRule
    direction: str
    skipped_stages: list[str] = field(default_factory=list)
    skipped_requirements: list[str] = field(default_factory=list)
    reason: str = ""


def advance(deal: Held, pipeline: PipelineRule, to_key: str, skip_reason: str, back_reason: str) -> Step:
    """The move of an open deal, or of a closed one to the archive, in the pipeline as its stage sees it (`removed`).

    Raises MOVE_NOT_ALLOWED, STAGE_UNKNOWN, STAGE_RETIRED, SKIP_NEEDS_REASON, BACK_NEEDS_REASON, EVIDENCE_MISSING,
    QUOTE_NOT_APPROVED, CONTRACT_NOT_SIGNED.
    """
    at, to = pipeline.stage(deal.stage_key), _target(deal, pipeline, to_key)
    if deal.state != "open":
        return _to_archive(deal, at, to, skip_reason)
    if to.kind != "open" or to.key == at.key:
        wanted = "close it instead" if to.kind in ("won", "lost") else f"it is in {at.name}"
        raise errors.FailedPrecondition("MOVE_NOT_ALLOWED", f"no way from {at.name} to {to.name}: {wanted}")
    order = [stage.key for stage in pipeline.stages]
    if order.index(to.key) < order.index(at.key):
        if not back_reason:
            raise errors.FailedPrecondition("BACK_NEEDS_REASON", f"say in back_reason why it goes back to {to.name}")
        return Step(to, "backward", reason=back_reason)
    return _forward(deal, pipeline, at, to, skip_reason)


def win(deal: Held, pipeline: PipelineRule, skip_reason: str) -> Step:
    """Passes everything that lies between the present stage and won. Raises like `advance`."""
    won = _of_kind(pipeline, "won")
    for kind, reason, words in (
        ("quote", "QUOTE_NOT_APPROVED", "an approved quote"),
        ("contract", "CONTRACT_NOT_SIGNED", "a signed contract"),
    ):
        there = deal.approved_quotes if kind == "quote" else deal.signed_contract is not None
        if pipeline.asks_for("quote" if kind == "quote" else "contract") and not there:
            raise errors.FailedPrecondition(reason, f"winning in {pipeline.name} takes {words}")
    step = _forward(deal, pipeline, pipeline.stage(deal.stage_key), won, skip_reason)
    return Step(won, "won", step.skipped_stages, step.skipped_requirements, step.reason)


def lose(pipeline: PipelineRule) -> Step:
    """Losing asks for no evidence, only for its reason."""
    return Step(_of_kind(pipeline, "lost"), "lost")


def reopen(deal: Held, pipeline: PipelineRule, to_key: str, reason: str) -> Step:
    """Back into an open stage. Raises OPPORTUNITY_OPEN, STAGE_UNKNOWN, STAGE_RETIRED, MOVE_NOT_ALLOWED."""
    if deal.state == "open":
        raise errors.FailedPrecondition("OPPORTUNITY_OPEN", "it is open already")
    closed_from = pipeline.stage(deal.closed_from)
    fallback = pipeline.first.key if closed_from.retired or closed_from.kind != "open" else closed_from.key
    to = _named(pipeline, to_key or fallback)
    if to.kind != "open":
        raise errors.FailedPrecondition("MOVE_NOT_ALLOWED", f"{to.name} is no open stage")
    return Step(to, "reopened", reason=reason)


def _target(deal: Held, pipeline: PipelineRule, to_key: str) -> StageRule:
    if to_key:
        return _named(pipeline, to_key)
    at = pipeline.stage(deal.stage_key)
    if at.next_stage_keys:
        return _named(pipeline, at.next_stage_keys[0])
    if deal.state != "open":
        return _of_kind(pipeline, "archived")
    following = _between(pipeline, at, None)
    if not following:
        raise errors.FailedPrecondition("MOVE_NOT_ALLOWED", f"{at.name} is the last open stage: close the opportunity")
    return following[0]


def _named(pipeline: PipelineRule, key: str) -> StageRule:
    found = next((stage for stage in pipeline.stages if stage.key == key), None)
    if found is None:
        there = ", ".join(stage.key for stage in pipeline.stages)
        raise errors.NotFound("STAGE_UNKNOWN", f"{pipeline.name} has no stage {key}; there are {there}")
    if found.retired:
        raise errors.FailedPrecondition("STAGE_RETIRED", f"{found.name} takes no deals any more")
    return found


def _of_kind(pipeline: PipelineRule, kind: str) -> StageRule:
    for stage in pipeline.stages:
        if stage.kind == kind and not stage.retired:
            return stage
    raise errors.FailedPrecondition("MOVE_NOT_ALLOWED", f"{pipeline.name} has no stage of kind {kind}")


def _between(pipeline: PipelineRule, at: StageRule, to: StageRule | None) -> list[StageRule]:
    """Open stages after `at` and before `to` (the end when None)."""
    keys = [stage.key for stage in pipeline.stages]
    begin = keys.index(at.key) + 1
    end = keys.index(to.key) if to is not None else len(keys)
    return [stage for stage in pipeline.stages[begin:end] if stage.kind == "open" and not stage.retired]


def _forward(deal: Held, pipeline: PipelineRule, at: StageRule, to: StageRule, skip_reason: str) -> Step:
    straight = to.key in at.next_stage_keys
    skipped = [] if straight else _between(pipeline, at, to)
    if to.kind == "open" and at.next_stage_keys and not straight and not skipped:
        there = ", ".join(pipeline.stage(key).name for key in at.next_stage_keys)
        raise errors.FailedPrecondition("MOVE_NOT_ALLOWED", f"from {at.name} deals go to {there}, not to {to.name}")
    lacking = [rule for stage in (at, *skipped) for rule in evidence.missing(stage, deal)]
    evidence.gate(lacking)
    if skipped and not skip_reason:
        raise errors.FailedPrecondition(
            "SKIP_NEEDS_REASON",
            f"{', '.join(stage.name for stage in skipped)} would be passed over; say why in skip_reason",
            stage_keys=",".join(stage.key for stage in skipped),
        )
    mandatory = [rule for rule in lacking if rule.mandatory]
    _demand(mandatory, at, skip_reason)
    passed_over = bool(skipped or mandatory)
    return Step(
        to,
        "forward",
        [stage.key for stage in skipped],
        [rule.key for rule in mandatory],
        skip_reason if passed_over else "",
    )


def _to_archive(deal: Held, at: StageRule, to: StageRule, skip_reason: str) -> Step:
    if to.kind != "archived" or at.kind == "archived":
        raise errors.FailedPrecondition(
            "MOVE_NOT_ALLOWED", f"a closed deal goes from {at.name} to the archive or is reopened"
        )
    mandatory = [rule for rule in evidence.missing(at, deal) if rule.mandatory]
    evidence.gate(mandatory)
    _demand(mandatory, at, skip_reason)
    return Step(to, "archived", [], [rule.key for rule in mandatory], skip_reason if mandatory else "")


def _demand(mandatory: list[EvidenceRule], at: StageRule, skip_reason: str) -> None:
    if mandatory and not skip_reason:
        raise errors.FailedPrecondition(
            "EVIDENCE_MISSING",
            f"{at.name} still asks for {', '.join(rule.name for rule in mandatory)}",
            requirement_keys=",".join(rule.key for rule in mandatory),
        )
