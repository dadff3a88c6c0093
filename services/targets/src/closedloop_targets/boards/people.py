"""ListPersonProgress: each person's done and target with a progress bar, lowest completion first (S10)."""

from __future__ import annotations

from datetime import timedelta

from closedloop.targets.v1 import boards_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.answers import Topics
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.work import Call, Work
from closedloop_targets import company
from closedloop_targets.boards import asking, completing, store
from closedloop_targets.boards.asking import Question
from closedloop_targets.boards.rpcs import rpcs
from closedloop_targets.boards.rules import Standing
from closedloop_targets.boards.store import Taken

BOARD = "people"


@rpcs.method
async def list_person_progress(
    request: pb.ListPersonProgressRequest, call: Call
) -> pb.ListPersonProgressResponse | bytes:
    if request.view != pb.BOARD_VIEW_LIVE and not request.currency_code:
        # The morning's board does not change before the next morning, though everybody looks at it.
        taken = await call.process.answers.answer(call, lambda: _today(call), lambda: _taken(request, call))
        if taken:
            return taken
    answer = await _board(request, call)
    await asking.in_currency(call, answer.people, request.currency_code)
    return answer


async def _today(call: Call) -> Topics:
    return Topics(("boards",), call.home.moment(call.home.today() + timedelta(days=1)))


async def _taken(request: pb.ListPersonProgressRequest, call: Call) -> pb.ListPersonProgressResponse:
    """Empty, as its bytes are, where no board was taken yet."""
    asked = asking.question(call, request.metric, request.period)
    people = [person for person, _ in await _people(request, call)]
    return await _snapshot(request, call, asked, people) or pb.ListPersonProgressResponse()


async def _board(request: pb.ListPersonProgressRequest, call: Call) -> pb.ListPersonProgressResponse:
    asked = asking.question(call, request.metric, request.period)
    holders = await _people(request, call)
    if request.view != pb.BOARD_VIEW_LIVE:
        answer = await _snapshot(request, call, asked, [person for person, _ in holders])
        if answer is not None:
            return answer
    key = pages.after(request, -1.0, "")
    standings = [
        one
        for one in await live(call, call.db, asked, holders)
        if list(_key(one)) > key and asking.light(call, one) >= request.light
    ]
    page, token = pages.split(standings[: pages.size(request) + 1], request, _key)
    shown = [line(call, one, asked) for one in page]
    await completing.people(call, call.db, shown, asked)
    return pb.ListPersonProgressResponse(people=shown, next_page_token=token, as_of_time=protos.timestamp(call.now))


async def live(
    work: Work, reader: Reader | Transaction, asked: Question, holders: list[tuple[str, str]]
) -> list[Standing]:
    """People with a target or something done, lowest completion first; one query."""
    standings = await store.standings(
        work,
        reader,
        holders,
        kind="person",
        metric=asked.metric,
        period=asked.period,
        today=asked.today,
        tops=company.tops(work.org),
        currency=asking.currency(work, asked.metric),
    )
    return sorted((one for one in standings if one.seen), key=_key)


def _key(standing: Standing) -> tuple[float, str]:
    """Who has no target comes last."""
    return (1e9 if standing.completion is None else standing.completion, standing.holder_id)


def line(work: Work, standing: Standing, asked: Question) -> pb.PersonProgress:
    person = work.org.person(standing.holder_id)
    return pb.PersonProgress(
        person_id=standing.holder_id,
        name=person.name if person else "",
        unit_id=standing.unit_id,
        progress=asking.progress(work, standing, asked),
        target_id=standing.target_id,
    )


async def _people(request: pb.ListPersonProgressRequest, call: Call) -> list[tuple[str, str]]:
    """Whom the caller asks about and may see."""
    org = call.org
    if request.person_id:
        person = await company.person(call, request.person_id)
        call.authorize(person.id, person.unit_id)
        return [(person.id, person.unit_id)]
    if request.unit_id:
        await company.unit(call, request.unit_id)
        call.authorize("", request.unit_id)
    units = org.subtree(request.unit_id) if request.unit_id else None
    return [
        (person.id, person.unit_id)
        for person in org.people.values()
        if (units is None or person.unit_id in units) and call.scope.covers(person.id, person.unit_id)
    ]


async def _snapshot(
    request: pb.ListPersonProgressRequest, call: Call, asked: Question, people: list[str]
) -> pb.ListPersonProgressResponse | None:
    """None where no day's board was taken and none was asked for by name."""
    named = request.view == pb.BOARD_VIEW_SNAPSHOT and request.HasField("date")
    day = protos.day(request.date) if named else asked.today
    since = day if named else asked.period.start
    where = {"board": BOARD, "metric": asked.metric, "period": asked.period.code}
    found = await call.db.one(store.SNAPSHOT_DAY, {**where, "since": since, "until": day})
    if found is None or found["max"] is None:
        if request.view == pb.BOARD_VIEW_SNAPSHOT:
            raise errors.NotFound(
                "SNAPSHOT_NOT_FOUND", f"no board was taken for {asked.period.code} on {day}; ask for the live view"
            )
        return None
    (after,) = pages.after(request, -1)
    params = {**where, "date": found["max"], "holder_ids": people, "light": request.light, "after": after}
    rows = await call.db.all(store.SNAPSHOT, {**params, "limit": pages.size(request) + 1}, into=Taken)
    page, token = pages.split(rows, request, lambda row: (row.position,))
    return pb.ListPersonProgressResponse(
        people=[pb.PersonProgress.FromString(row.data) for row in page],
        next_page_token=token,
        as_of_time=protos.timestamp(page[0].taken_at) if page else None,
    )
