"""What a commitment must say, and how it ended."""

from __future__ import annotations

from datetime import date

from closedloop_chassis import errors
from closedloop_targets.periods.rules import Period


def check(
    fortnight: Period, proposed: int | None, amount: int, *, note: str, own: bool, lower_is_better: bool, today: date
) -> None:
    """Raises InvalidArgument NOT_A_FORTNIGHT, and FailedPrecondition NO_TARGET, FORTNIGHT_OVER, NOTE_MISSING or
    BELOW_PROPOSAL_WITHOUT_NOTE. Amounts in minor units or millionths."""
    if fortnight.grain != "fortnight":
        raise errors.InvalidArgument(
            "NOT_A_FORTNIGHT", f"{fortnight.code} is no fortnight", {"period": 'say one like "2026-F07"'}
        )
    if fortnight.end < today:
        raise errors.FailedPrecondition("FORTNIGHT_OVER", f"{fortnight.code} ended on {fortnight.end}")
    if proposed is None:
        raise errors.FailedPrecondition("NO_TARGET", f"no target in force reaches {fortnight.code}")
    if amount < 0:
        raise errors.InvalidArgument("AMOUNT_NEGATIVE", "nobody commits to less than nothing", {"amount": "negative"})
    if not own and not note:
        raise errors.FailedPrecondition("NOTE_MISSING", "who commits for somebody else says why")
    short = amount > proposed if lower_is_better else amount < proposed
    if short and not note:
        raise errors.FailedPrecondition(
            "BELOW_PROPOSAL_WITHOUT_NOTE", "less than the cascade proposes needs a note that says why"
        )
