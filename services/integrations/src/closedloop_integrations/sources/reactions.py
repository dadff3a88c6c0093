"""What pollers could not even hand on is set aside."""

from __future__ import annotations

from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_integrations import quarantine

reactions = Reactions()


@reactions.on(events.ItemRefused)
async def set_aside(event: Heard[events.ItemRefused], work: Work) -> None:
    item = event.message
    quarantine.set_aside(
        work.tx,
        work.now,
        source=item.source,
        kind=item.kind,
        key=item.key,
        reason=item.reason,
        message=item.message,
        raw=item.raw,
    )
