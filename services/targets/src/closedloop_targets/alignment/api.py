"""ListAlignment: neighbours' figures beside the attainment they drive (S18)."""

from __future__ import annotations

from closedloop.targets.v1 import boards_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.work import Call
from closedloop_targets import company
from closedloop_targets.alignment import measuring, store
from closedloop_targets.boards import asking
from closedloop_targets.boards.asking import Question
from closedloop_targets.boards.rpcs import rpcs

BOARD = "alignment"


@rpcs.method
async def list_alignment(request: pb.ListAlignmentRequest, call: Call) -> pb.ListAlignmentResponse:
    top = call.home.root
    unit = await company.unit(call, request.unit_id or (top.id if top else ""))
    asked = asking.question(call, request.driven_metric, request.period)
    taken_at, lines = call.now, None
    if request.view != pb.BOARD_VIEW_LIVE:
        rows = await call.db.all(store.TAKEN, _where(request, asked, unit.id))
        if rows:
            taken_at = rows[0]["taken_at"]
            lines = [pb.Alignment.FromString(row["data"]) for row in rows]
        elif request.view == pb.BOARD_VIEW_SNAPSHOT:
            raise errors.NotFound(
                "SNAPSHOT_NOT_FOUND", f"no board of {unit.id} was taken for {asked.period.code}; ask for the live view"
            )
    if lines is None:
        found, attainment = await measuring.figures(call, call.db, unit.id, asked)
        lines = [measuring.line(call, one, unit.id, asked, attainment) for one in found]
    (after,) = pages.after(request, -1)
    page, token = pages.split(
        [row for row in enumerate(lines) if row[0] > after][: pages.size(request) + 1], request, lambda row: (row[0],)
    )
    return pb.ListAlignmentResponse(
        lines=[line for _, line in page], next_page_token=token, as_of_time=protos.timestamp(taken_at)
    )


def _where(request: pb.ListAlignmentRequest, asked: Question, unit_id: str) -> dict[str, object]:
    named = request.view == pb.BOARD_VIEW_SNAPSHOT and request.HasField("date")
    day = protos.day(request.date) if named else asked.today
    return {
        "board": BOARD,
        "metric": asked.metric,
        "period": asked.period.code,
        "unit_id": unit_id,
        "since": day if named else asked.period.start,
        "until": day,
    }
