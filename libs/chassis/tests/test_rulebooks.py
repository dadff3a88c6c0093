"""Rulebooks: typed, versioned, effective-dated, changed while running."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

import pytest

from closedloop_chassis import errors
from closedloop_chassis.process import Process
from closedloop_chassis.rulebook.rules import ClockSetting, Rules
from closedloop_chassis.rulebook.shelf import Edition, Shelf


class TeaRules(Rules):
    rulebook: ClassVar[str] = "test.tea"

    minutes: int = 3
    steep: ClockSetting = ClockSetting(hours=1)


async def publish(process: Process, shelf: Shelf, base: int, minutes: int, days: float = 0) -> Edition:
    now = process.time.now()
    body = {"minutes": minutes, "steep": {"hours": 1}}
    tx = process.database.transaction()
    draft = Edition("test.tea", base, now + timedelta(days=days), body, "ops", "taste", now)
    try:
        edition = await shelf.publish(tx, draft)
        await tx.commit()
    except errors.DomainError:
        await tx.rollback()
        raise
    await shelf.reload(process.database.reader)
    return edition


@pytest.mark.mission("U19")
async def test_versions_hold_from_their_moment_on_and_the_later_one_wins(process: Process) -> None:
    shelf = Shelf([TeaRules])
    now = process.time.now()
    assert shelf.in_force(TeaRules, now).minutes == 3
    assert shelf.version(TeaRules, now) == 0
    await publish(process, shelf, 0, 4)
    await publish(process, shelf, 1, 6, days=30)
    later = process.time.now()
    assert shelf.in_force(TeaRules, now - timedelta(days=1)).minutes == 3
    assert shelf.in_force(TeaRules, later).minutes == 4
    assert shelf.in_force(TeaRules, later + timedelta(days=31)).minutes == 6
    # The third takes effect before the second, and replaces it.
    await publish(process, shelf, 2, 5, days=10)
    assert [shelf.in_force(TeaRules, later + timedelta(days=d)).minutes for d in (1, 11, 31)] == [4, 5, 5]
    assert [edition.version for edition in shelf.history("test.tea")] == [1, 2, 3]


async def test_a_change_made_from_an_old_version_is_aborted(process: Process) -> None:
    shelf = Shelf([TeaRules])
    await publish(process, shelf, 0, 4)
    with pytest.raises(errors.Aborted) as refusal:
        await publish(process, shelf, 0, 5)
    assert refusal.value.reason == "RULEBOOK_CHANGED"


@pytest.mark.parametrize(
    "body", [{"minutes": "many"}, {"minuets": 3}, {"steep": {"hours": 0}}, {"steep": {"hours": -1}}]
)
def test_a_body_that_does_not_fit_is_refused_field_by_field(body: dict[str, object]) -> None:
    with pytest.raises(errors.InvalidArgument) as refusal:
        Shelf([TeaRules]).check("test.tea", body)
    assert all(path.startswith("body.") for path in refusal.value.violations)
    assert refusal.value.violations


def test_an_unknown_rulebook_is_not_found() -> None:
    with pytest.raises(errors.NotFound):
        Shelf([TeaRules]).check("test.coffee", {})
