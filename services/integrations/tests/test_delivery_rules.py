"""When a message may leave, and what becomes of it."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from types import ModuleType
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop_integrations.deliveries import chat, sms
from closedloop_integrations.deliveries.rules import (
    FINAL,
    HANDED_OVER,
    RANK,
    Circumstances,
    ConsentEntry,
    DeliveryRules,
    Outcome,
    QuietHours,
    Wishes,
    address_of,
    advances,
    after_attempt,
    again,
    is_opt_out,
    number_of,
    passage,
    permitted,
    quiet_from,
    quiet_until,
)
from closedloop_integrations.outbound import Answer, NotSentError

CHINA = ZoneInfo("Asia/Shanghai")
RULES = DeliveryRules()
MORNING = datetime(2026, 1, 5, 9, 30, tzinfo=CHINA)
NIGHT = datetime(2026, 1, 5, 23, 0, tzinfo=CHINA)


def said(allowed: bool, channel: str = "", topic: str = "", day: int = 1) -> ConsentEntry:
    return ConsentEntry(channel, topic, allowed, datetime(2026, 1, day, tzinfo=UTC))


def circumstances(**given: object) -> Circumstances:
    usual: dict[str, object] = {
        "purpose": "marketing",
        "channel": "mail",
        "topic": "product_updated",
        "zone": "Asia/Shanghai",
        "urgent": False,
        "not_before": None,
        "expires_at": None,
        "consents": (),
        "channel_closed": False,
        "contact_gone": False,
        "recent": 0,
    }
    return Circumstances(**{**usual, **given})  # type: ignore[arg-type]


@pytest.mark.mission("S73")
@pytest.mark.parametrize(
    ("entries", "allowed"),
    [
        ([], True),
        ([said(False)], False),
        ([said(False, "sms")], True),
        ([said(False, "mail")], False),
        ([said(False, topic="other")], True),
        ([said(False, topic="product_updated")], False),
        ([said(False, day=1), said(True, day=2)], True),
        ([said(True, day=1), said(False, day=2)], False),
        ([said(False, day=9), said(True, "mail", "product_updated", day=1)], True),
        ([said(True, day=9), said(False, "mail", day=1)], False),
    ],
)
def test_the_most_specific_last_word_counts(entries: list[ConsentEntry], allowed: bool) -> None:
    assert permitted(entries, "mail", "product_updated") is allowed


@pytest.mark.mission("S73", "U20")
@pytest.mark.parametrize(
    ("moment", "hours", "end"),
    [
        ("2026-01-05T23:00", ("22:00", "07:30"), "2026-01-06T07:30"),
        ("2026-01-06T03:00", ("22:00", "07:30"), "2026-01-06T07:30"),
        ("2026-01-06T07:30", ("22:00", "07:30"), None),
        ("2026-01-06T12:00", ("22:00", "07:30"), None),
        ("2026-01-06T12:30", ("12:00", "14:00"), "2026-01-06T14:00"),
        ("2026-01-31T22:00", ("22:00", "07:30"), "2026-02-01T07:30"),
        ("2026-01-06T12:00", ("08:00", "08:00"), None),
    ],
)
def test_quiet_hours_end(moment: str, hours: tuple[str, str], end: str | None) -> None:
    now = datetime.fromisoformat(moment).replace(tzinfo=CHINA).astimezone(UTC)
    given = QuietHours(start=time.fromisoformat(hours[0]), end=time.fromisoformat(hours[1]))
    found = quiet_until(now, "Asia/Shanghai", given)
    assert (found and found.astimezone(CHINA).strftime("%Y-%m-%dT%H:%M")) == end


@given(st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1)), st.times(), st.times())
def test_quiet_hours_end_within_a_day_and_outside_themselves(moment: datetime, start: time, end: time) -> None:
    now = moment.replace(tzinfo=UTC)
    over = quiet_until(now, "Asia/Shanghai", QuietHours(start=start, end=end))
    if over is not None:
        assert now < over <= now + timedelta(days=1)
        assert quiet_until(over, "Asia/Shanghai", QuietHours(start=start, end=end)) is None


@given(st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1)), st.times(), st.times())
def test_quiet_hours_begin_at_the_next_moment_that_is_quiet(moment: datetime, start: time, end: time) -> None:
    now, hours = moment.replace(tzinfo=UTC), QuietHours(start=start, end=end)
    begin = quiet_from(now, "Asia/Shanghai", hours)
    if start == end:
        assert begin is None
    elif quiet_until(now, "Asia/Shanghai", hours) is None:
        assert begin is not None
        assert now < begin <= now + timedelta(days=1)
        assert quiet_until(begin, "Asia/Shanghai", hours)
        assert quiet_until(begin - timedelta(microseconds=1), "Asia/Shanghai", hours) is None


@pytest.mark.mission("S73")
@pytest.mark.parametrize(
    ("given", "due", "state", "reason"),
    [
        ({}, MORNING, "queued", "retry"),
        ({}, MORNING + timedelta(minutes=1), "queued", "retry"),
        ({}, NIGHT, "held", "quiet_hours"),
        ({"purpose": "internal", "urgent": True}, NIGHT, "queued", "retry"),
        ({"consents": (said(False),)}, MORNING, "suppressed", "opted_out"),
        ({"channel_closed": True}, MORNING, "suppressed", "opted_out"),
        ({"contact_gone": True, "purpose": "service"}, MORNING, "suppressed", "contact_gone"),
        ({"expires_at": MORNING + timedelta(hours=1)}, MORNING + timedelta(hours=2), "suppressed", "expired"),
        # It was counted when it was asked for.
        ({"recent": 9}, MORNING, "queued", "retry"),
        ({"purpose": "internal", "wishes": Wishes(digest_times=(time(18),))}, MORNING, "queued", "retry"),
        (
            {"purpose": "internal", "wishes": Wishes(muted_topics=frozenset({"product_updated"}))},
            MORNING,
            "suppressed",
            "muted",
        ),
        (
            {"purpose": "internal", "wishes": Wishes(quiet=QuietHours(start=time(9), end=time(12)))},
            MORNING,
            "held",
            "quiet_hours",
        ),
    ],
)
def test_what_is_tried_again_is_looked_at_again(
    given: dict[str, object], due: datetime, state: str, reason: str
) -> None:
    found = again(circumstances(**given), RULES, MORNING, due, "retry")
    assert (found.state, found.reason) == (state, reason)
    if state == "queued":
        assert found.due_at == due
        assert (found.quiet_at is None) is (given.get("urgent") is True)
    if state == "held":
        assert found.due_at > due


@pytest.mark.parametrize(
    "written", ["13812345678", "+86 138-1234-5678", "0086 138 1234 5678", "86 13812345678", "１３８12345678"]
)
def test_one_telephone_is_one_recipient_however_it_is_written(written: str) -> None:
    assert number_of(written, RULES) == "+8613812345678"
    assert number_of("+49 170 1234567", RULES) == "+491701234567"
    assert [number_of(each, RULES) for each in ("zhangsan", " 12 ", "")] == ["zhangsan", "12", ""]


@pytest.mark.mission("S73")
@pytest.mark.parametrize(
    ("given", "now", "state", "reason"),
    [
        ({}, MORNING, "queued", ""),
        ({}, NIGHT, "held", "quiet_hours"),
        ({"purpose": "internal"}, NIGHT, "held", "quiet_hours"),
        ({"purpose": "internal", "urgent": True}, NIGHT, "queued", ""),
        ({"urgent": True}, NIGHT, "held", "quiet_hours"),
        ({"zone": "Europe/Berlin"}, NIGHT, "queued", ""),
        ({"consents": (said(False),)}, MORNING, "suppressed", "opted_out"),
        ({"consents": (said(False),), "purpose": "service"}, MORNING, "queued", ""),
        ({"channel_closed": True}, MORNING, "suppressed", "opted_out"),
        ({"contact_gone": True, "purpose": "service"}, MORNING, "suppressed", "contact_gone"),
        ({"recent": 1}, MORNING, "queued", ""),
        ({"recent": 2}, MORNING, "suppressed", "frequency"),
        ({"not_before": MORNING + timedelta(hours=2)}, MORNING, "held", "not_before"),
        ({"not_before": NIGHT}, MORNING, "held", "quiet_hours"),
        ({"not_before": MORNING - timedelta(hours=2)}, MORNING, "queued", ""),
        ({"expires_at": MORNING}, MORNING, "suppressed", "expired"),
        ({"expires_at": NIGHT + timedelta(hours=1)}, NIGHT, "suppressed", "expired"),
    ],
)
def test_passage(given: dict[str, object], now: datetime, state: str, reason: str) -> None:
    found = passage(circumstances(**given), RULES, now)
    assert (found.state, found.reason) == (state, reason)
    assert (found.due_at > now) is (state == "held")
    assert bool(found.explanation) or not reason or reason == "not_before"


@pytest.mark.mission("S73")
@pytest.mark.parametrize(
    ("outcome", "attempts", "bounced", "retry_after", "state", "delay"),
    [
        ("accepted", 1, False, 0, "sent", None),
        ("unknown", 1, False, 0, "uncertain", None),
        ("expired", 1, False, 0, "suppressed", None),
        ("refused", 1, True, 0, "bounced", None),
        ("refused", 1, False, 0, "failed", None),
        ("deferred", 1, False, 0, "queued", 30),
        ("deferred", 2, False, 0, "queued", 60),
        ("deferred", 2, False, 300, "queued", 300),
        ("deferred", 5, False, 0, "queued", 480),
        ("deferred", 6, False, 0, "failed", None),
    ],
)
def test_after_an_attempt(
    outcome: Outcome, attempts: int, bounced: bool, retry_after: float, state: str, delay: float | None
) -> None:
    found = after_attempt(outcome, attempts, bounced, retry_after, RULES, MORNING)
    assert found.state == state
    assert found.due_at == (None if delay is None else MORNING + timedelta(seconds=delay))


@given(
    st.sampled_from(sorted(RANK)), st.lists(st.sampled_from(sorted({*RANK, *FINAL} - {"queued", "held", "sending"})))
)
def test_a_life_never_goes_backwards(start: str, reports: list[str]) -> None:
    state, seen = start, [RANK[start]]
    for report in reports:
        if advances(state, report):
            assert state not in FINAL
            assert report not in FINAL or state in HANDED_OVER or state == "sending"
            state = report
            seen.append(RANK.get(state, 99))
    assert seen == sorted(set(seen))


@pytest.mark.parametrize(
    ("text", "opted_out"),
    [
        ("退订", True),
        ("退订。", True),
        ("退订，谢谢", True),
        ("TD", True),
        ("unsubscribe", True),
        ("Unsubscribe me please", True),
        ("T恤已收到", False),
        ("我们想退订会议室，另外下周见面谈谈项目", False),
        ("您好，请把报价发给我", False),
        ("", False),
    ],
)
def test_an_answer_that_opts_out(text: str, opted_out: bool) -> None:
    assert is_opt_out(text, RULES) is opted_out


def test_where_a_colleague_is_reached() -> None:
    where = ("a@b.cn", "13800000000", {"wecom": "zhangsan"})
    assert [address_of(channel, *where) for channel in ("mail", "wecom", "dingtalk", "sms")] == [
        "a@b.cn",
        "zhangsan",
        "13800000000",
        "13800000000",
    ]


@pytest.mark.mission("S73")
@pytest.mark.parametrize("gateway", [chat, sms])
def test_who_fails_in_the_middle_may_have_it_and_who_is_busy_has_not(gateway: ModuleType) -> None:
    for status in (500, 502, 504):
        assert gateway._read(Answer(status, {}, b'{"Code": "InternalError", "errcode": 1}'), 60).outcome == "unknown"
    with pytest.raises(NotSentError):
        gateway._read(Answer(503, {}, b""), 60)
