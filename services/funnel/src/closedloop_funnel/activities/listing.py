"""ListDailyLogs: who closed which day, and which working days nobody closed (S42)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import cache

from closedloop.funnel.v1 import activities_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.org.snapshot import Person
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.activities import proto, store
from closedloop_funnel.activities.record import DailyLog, Seen
from closedloop_funnel.activities.rules import ActivityRules

rpcs = Rpcs("closedloop.funnel.v1.ActivityService")

DAY = timedelta(days=1)
Key = tuple[date, str]


@rpcs.method
async def list_daily_logs(request: pb.ListDailyLogsRequest, call: Call) -> pb.ListDailyLogsResponse:
    """Newest day first. A seller's working day is there whether it was closed or not, any other day only if it was."""
    judged_by = call.rules(ActivityRules)
    first, last = protos.day(request.from_date, "from_date"), protos.day(request.to_date, "to_date")
    if last < first:
        raise errors.InvalidArgument("DATES_REVERSED", "it ends before it begins", {"to_date": "before from_date"})
    if (last - first).days >= judged_by.list_days:
        raise errors.InvalidArgument(
            "PERIOD_OUT_OF_RANGE", f"at most {judged_by.list_days} days", {"to_date": "too far from from_date"}
        )
    after_day, after_person = pages.after(request, "", "")
    people = {person.id: person for person in _people(request, call)}
    given = await store.days_closed(call.db, list(people), first, last)
    wanted: list[Key] = []
    for key in _days(people, set(given), first, last, request.missing_only, call):
        # Days fall, people rise.
        if after_day and (
            key[0].isoformat() > after_day or (key[0].isoformat() == after_day and key[1] <= after_person)
        ):
            continue
        wanted.append(key)
        if len(wanted) > pages.size(request):
            break
    page, token = pages.split(wanted, request, lambda key: [key[0].isoformat(), key[1]])
    logs = {(log.day, log.person_id): log for log in await store.daily_logs(call.db, page)}
    done = await _activities(page, people, call)
    return pb.ListDailyLogsResponse(
        logs=[
            proto.daily_log(
                logs.get((day, who)) or DailyLog(who, day, people[who].unit_id, "", "", "", None),
                done[day, who],
                judged_by,
                with_activities=False,
            )
            for day, who in page
        ],
        next_page_token=token,
    )


def _people(request: pb.ListDailyLogsRequest, call: Call) -> Iterator[Person]:
    """Within the caller's reach: the one asked for, or who sells."""
    if request.person_id:
        person = call.org.person(request.person_id)
        if person is None:
            raise errors.NotFound("PERSON_UNKNOWN", f"nobody here is {request.person_id}")
        call.authorize(person.id, person.unit_id)
        yield person
        return
    units = set(call.org.subtree(request.unit_id)) if request.unit_id else None
    for person in call.org.people.values():
        asked = units is None or person.unit_id in units
        if asked and person.active and "rep" in person.roles and call.scope.covers(person.id, person.unit_id):
            yield person


def _days(
    people: dict[str, Person], given: set[Key], first: date, last: date, missing_only: bool, call: Call
) -> Iterator[Key]:
    @cache
    def working(day: date, unit_id: str) -> bool:
        return day <= call.home.today(unit_id) and call.calendars.is_workday(day, "business", unit_id)

    for back in range((last - first).days + 1):
        day = last - back * DAY
        for who in sorted(people):
            closed = (day, who) in given
            if (closed and not missing_only) or (not closed and working(day, people[who].unit_id)):
                yield day, who


async def _activities(page: Sequence[Key], people: dict[str, Person], call: Call) -> dict[Key, list[Seen]]:
    done: dict[Key, list[Seen]] = defaultdict(list)
    if not page:
        return done
    days = [day for day, _ in page]
    # A day more on either side, because it begins at other moments elsewhere.
    begins, ends = call.home.moment(min(days) - DAY), call.home.moment(max(days) + 2 * DAY)
    for one in await store.of_days(call.db, sorted({who for _, who in page}), begins, ends, call.now):
        done[one.at.astimezone(call.home.zone(people[one.owner_id].unit_id)).date(), one.owner_id].append(one)
    return done
