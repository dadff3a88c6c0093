"""Who leaves, and who comes back."""

from __future__ import annotations

from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis import protos
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_funnel.newcomers import store

reactions = Reactions()


@reactions.on(targets.PersonChanged)
async def left(event: Heard[targets.PersonChanged], work: Work) -> None:
    person, known = event.message, event.message.HasField("leave_date")
    gone = {
        "person_id": person.person_id,
        "active": person.active,
        "known": known,
        "day": protos.day(person.leave_date) if known else work.home.day(event.time, person.unit_id),
        "now": work.now,
    }
    work.tx.do(store.BACK if person.active else store.GONE, gone)
    work.tx.do(store.LEAVE, gone)
