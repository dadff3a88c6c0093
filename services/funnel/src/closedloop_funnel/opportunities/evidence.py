"""What a step must leave behind, and what of it is there (S40, S53)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from closedloop_chassis import errors
from closedloop_funnel.actions.rules import UnitRules
from closedloop_funnel.actions.units import faults
from closedloop_funnel.opportunities.record import Evidence, Held
from closedloop_funnel.pipelines.stages import GATES, EvidenceRule, PipelineRule, StageRule

# Which of its parts proves an evidence of a kind.
_PROOF: dict[str, tuple[str, ...]] = {
    "note": ("note",),
    "document": ("attachment_ids", "note"),
    "photo": ("attachment_ids",),
    "activity": ("record_id",),
    "matrix": ("content",),
    "proposal": ("record_id", "attachment_ids", "note"),
    "quote": ("record_id",),
    "contract": ("record_id",),
}


def check(given: Iterable[Evidence], pipeline: PipelineRule, known_records: Collection[str], units: UnitRules) -> None:
    """Raises InvalidArgument EVIDENCE_INVALID naming every piece that proves nothing."""
    found = {f"evidence.{i}": _problem(one, pipeline, known_records, units) for i, one in enumerate(given)}
    wrong = {path: problem for path, problem in found.items() if problem}
    if wrong:
        raise errors.InvalidArgument("EVIDENCE_INVALID", "; ".join(wrong.values()), wrong)


def _problem(given: Evidence, pipeline: PipelineRule, known_records: Collection[str], units: UnitRules) -> str:
    rule = pipeline.requirement(given.requirement_key)
    if rule is None:
        return f"the pipeline asks for no {given.requirement_key}"
    if rule.kind == "field":
        return f"{rule.key} is shown by the field {rule.detail} itself"
    if rule.kind == "activity" and rule.detail:
        return f"{rule.key} is shown by a verified {rule.detail} in a log itself"
    if rule.kind != given.kind:
        return f"{rule.key} is proved by a {rule.kind}, not by a {given.kind}"
    if not any(_there(given, part, rule) for part in _PROOF[given.kind]):
        least = f" of at least {rule.least_characters} letters" if "note" in _PROOF[given.kind] else ""
        return f"{rule.key} lacks its {' or '.join(_PROOF[given.kind])}{least}"
    if given.attachment_ids and not set(given.attachment_ids) <= set(known_records):
        return f"{rule.key} names an attachment that is not there"
    if given.record_id and given.record_id not in known_records:
        return f"{rule.key} names a record that is not of this opportunity"
    if rule.kind == "matrix":
        return _misfit(rule, given, units)
    return ""


def _there(given: Evidence, part: str, rule: EvidenceRule) -> bool:
    """A full stop is no customer profile."""
    if part == "note":
        return sum(map(str.isalnum, given.note)) >= rule.least_characters
    return bool(getattr(given, part))


def _misfit(rule: EvidenceRule, given: Evidence, units: UnitRules) -> str:
    """What keeps a matrix from having the form its action unit asks for."""
    form = units.form_of(rule.detail)
    found = faults(form, given.content or {}) if form is not None else []
    return f"{rule.key}: {found[0]}"[:1000] if found else ""


def count(rule: EvidenceRule, deal: Held) -> int:
    """How much of what the rule asks for is there."""
    if rule.kind == "quote":
        return deal.approved_quotes
    if rule.kind == "contract":
        return int(deal.signed_contract is not None)
    if rule.kind == "field":
        return int(bool(deal.custom_fields.get(rule.detail) or getattr(deal, rule.detail, None)))
    if rule.kind == "activity" and rule.detail:
        return deal.verified.get(rule.detail, 0)
    given = deal.evidence.get(rule.key, 0)
    return max(given, deal.activities) if rule.kind == "activity" else given


def missing(stage: StageRule, deal: Held) -> list[EvidenceRule]:
    """What the stage still asks for, advice included."""
    return [rule for rule in stage.requirements if count(rule, deal) < rule.minimum]


def gate(lacking: Iterable[EvidenceRule]) -> None:
    """Raises FailedPrecondition for a decision or a signature that no reason replaces (S66)."""
    for rule in lacking:
        if rule.mandatory and rule.kind in GATES:
            reason = "QUOTE_NOT_APPROVED" if rule.kind == "quote" else "CONTRACT_NOT_SIGNED"
            raise errors.FailedPrecondition(reason, f"{rule.name} is missing, and nothing replaces it", key=rule.key)
