"""Working time, on the numbers of the Chinese calendar of 2025 and 2026."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop_chassis import errors
from closedloop_chassis.calendar.business import BusinessCalendar, CalendarRules, Calendars, add, between, is_workday
from closedloop_chassis.org.snapshot import OrgSnapshot
from closedloop_chassis.rulebook.rules import ClockSetting

SHANGHAI = ZoneInfo("Asia/Shanghai")
CHINA = BusinessCalendar()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


@pytest.mark.mission("U8")
@pytest.mark.parametrize(
    ("start", "hours", "end", "why"),
    [
        ("2026-01-05T09:00", 2, "2026-01-05T11:00", "a Monday morning"),
        ("2026-01-05T11:00", 2, "2026-01-05T14:00", "lunch does not count"),
        ("2026-01-05T17:00", 2, "2026-01-06T10:00", "over night"),
        ("2026-01-05T12:30", 8, "2026-01-06T12:00", "begun at lunch: ends where the eighth hour ends"),
        ("2026-01-09T16:00", 8, "2026-01-12T16:00", "over a weekend"),
        ("2025-09-28T10:00", 8, "2025-09-29T10:00", "a Sunday that is worked for the October holiday"),
        ("2025-09-30T17:00", 2, "2025-10-09T10:00", "the October holiday"),
        ("2026-02-13T17:30", 1, "2026-02-14T09:30", "a Saturday worked for the Spring Festival"),
        ("2026-02-14T17:00", 2, "2026-02-24T10:00", "the last working hour before the Spring Festival"),
    ],
)
def test_working_hours(start: str, hours: int, end: str, why: str) -> None:
    assert add(CHINA, at(start), timedelta(hours=hours)) == at(end), why
    assert between(CHINA, at(start), at(end)) == timedelta(hours=hours), why


@pytest.mark.mission("U8")
def test_a_year_nobody_announced_is_an_error_until_the_rulebook_names_it() -> None:
    with pytest.raises(errors.FailedPrecondition) as refusal:
        add(CHINA, datetime(2099, 1, 4, 9, tzinfo=SHANGHAI), timedelta(hours=1))
    assert refusal.value.reason == "CALENDAR_YEAR_UNKNOWN"
    announced = BusinessCalendar.model_validate(
        {"years": {2099: {"holidays": ["2099-01-01"], "makeup_workdays": ["2099-01-04"]}}}
    )
    assert date(2099, 1, 4).weekday() == 6
    assert is_workday(announced, date(2099, 1, 4))
    assert not is_workday(announced, date(2099, 1, 1))


@pytest.mark.mission("U8")
def test_how_far_a_calendar_goes_is_known_before_it_ends() -> None:
    """On 1 December there is a month left; the next year's days, once published, move the end; weekends have none."""
    now = at("2026-12-01T00:00")
    rules = CalendarRules.model_validate(
        {
            "calendars": {
                "business": {},
                "announced": {"years": {"2027": {"holidays": ["2027-01-01"]}, "2029": {}}},
                "weekends": {"country": ""},
                "berlin": {"time_zone": "Europe/Berlin"},
            }
        }
    )
    assert Calendars(rules, OrgSnapshot()).ahead(now) == {
        "business": timedelta(days=31),
        "announced": timedelta(days=31 + 365),
        "berlin": timedelta(days=31, hours=7),
    }
    assert Calendars(rules, OrgSnapshot()).ahead(at("2027-01-02T00:00"))["business"] == timedelta(days=-1)


def test_the_companys_own_days_win() -> None:
    calendar = BusinessCalendar.model_validate({"days_off": ["2026-01-05"], "days_on": ["2026-01-03"]})
    assert not is_workday(calendar, date(2026, 1, 5))
    assert is_workday(calendar, date(2026, 1, 3))


def test_days_of_a_setting_are_working_days_on_a_business_calendar() -> None:
    calendars = Calendars(CalendarRules(), OrgSnapshot())
    assert calendars.budget(ClockSetting(days=5, calendar="business")) == timedelta(hours=40)
    assert calendars.budget(ClockSetting(days=5)) == timedelta(days=5)
    with pytest.raises(errors.FailedPrecondition):
        calendars.named("lunar")


def test_a_clock_is_due_on_its_own_calendar_and_may_be_shortened() -> None:
    calendars = Calendars(CalendarRules(), OrgSnapshot())
    # Friday, an hour before the end of work, in Shanghai.
    start = datetime(2026, 1, 9, 9, tzinfo=UTC)
    two_hours = ClockSetting(hours=2, calendar="business", warn_at=0.5)
    assert calendars.due(two_hours, start) == datetime(2026, 1, 12, 2, tzinfo=UTC)
    assert calendars.due(ClockSetting(hours=2), start) == start + timedelta(hours=2)
    left = two_hours.shortened(timedelta(minutes=30))
    assert (calendars.due(left, start), left.warn_at) == (start + timedelta(minutes=30), 0.5)
    assert calendars.due(two_hours.shortened(timedelta(-1)), start) - start < timedelta(seconds=1)
    assert calendars.due(ClockSetting.timer(timedelta(days=400)), start) == start + timedelta(days=400)
    with pytest.raises(ValueError, match="3660"):
        ClockSetting.timer(timedelta(days=3661))


moments = st.datetimes(datetime(2025, 1, 1), datetime(2026, 11, 1)).map(lambda d: d.replace(tzinfo=UTC))


@given(moments, st.integers(1, 200 * 3600))
def test_between_undoes_add(start: datetime, seconds: int) -> None:
    span = timedelta(seconds=seconds)
    assert between(CHINA, start, add(CHINA, start, span)) == span


@given(moments, moments, moments)
def test_between_adds_up(a: datetime, b: datetime, c: datetime) -> None:
    a, b, c = sorted((a, b, c))
    assert between(CHINA, a, b) + between(CHINA, b, c) == between(CHINA, a, c)
