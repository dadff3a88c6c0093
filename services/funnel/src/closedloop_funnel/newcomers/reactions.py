"""Who leaves, and who comes back."""

from __future__ import annotations

from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_funnel.newcomers import store

reactions = Reactions()


@reactions.on(targets.PersonChanged)
async def left(event: Heard[targets.PersonChanged], work: Work) -> None:
    person = event.message
    work.tx.do(
        store.LEAVE,
        {
            "person_id": person.person_id,
            "active": person.active,
            "day": work.home.day(event.time, person.unit_id),
            "now": work.now,
        },
    )
