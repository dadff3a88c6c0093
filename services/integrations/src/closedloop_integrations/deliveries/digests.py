"""What a colleague wants to have gathered goes out as one message (U20)."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.struct_pb2 import Struct

from closedloop.integrations.v1 import deliveries_pb2 as pb
from closedloop_chassis import errors
from closedloop_chassis.enums import number
from closedloop_chassis.work import Work
from closedloop_integrations.deliveries import intake, moves, store, wire
from closedloop_integrations.deliveries.store import Delivery

ORIGIN = "integrations"
TEMPLATE = "digest"


async def send(work: Work, people: Sequence[str]) -> None:
    """Gathers what waits for these people, by person and channel. What came alone keeps its own words."""
    piles: dict[tuple[str, str], list[Delivery]] = {}
    for each in await store.gathered(work.tx, people, work.now):
        piles.setdefault((each.person_id, each.channel), []).append(each)
    contents = [_content(work, person_id, channel, pile) for (person_id, channel), pile in piles.items()]
    drafts = await intake.word_all(work, work.tx, contents)
    digests: list[Delivery] = []
    moved: list[Delivery] = []
    steps = []
    for pile, draft in zip(piles.values(), drafts, strict=True):
        if len(pile) == 1 or isinstance(draft, errors.DomainError):
            # Nobody can be told of many at once any longer: each goes by itself, and fares as it may.
            steps += [moves.change(work, each, "queued", "", "digest") for each in pile]
            moved += pile
            continue
        digest = draft.delivery
        digests.append(digest)
        for each in pile:
            each.digest_id = digest.id
            each.version += 1
            steps.append((each.id, each.state, f"digest {digest.id}"))
        moved += pile
    await intake.keep(work, digests)
    store.step(work.tx, work.now, steps)
    store.move(work.tx, moved)


def _content(work: Work, person_id: str, channel: str, pile: Sequence[Delivery]) -> pb.DeliveryContent:
    fields = Struct()
    fields.update({"count": str(len(pile)), "items": "\n\n".join(_item(each) for each in pile)})
    return pb.DeliveryContent(
        dedupe_key=f"digest:{person_id}:{channel}:{work.now.isoformat()}",
        origin=ORIGIN,
        channel=number(pb.Channel, channel),
        purpose=pb.DELIVERY_PURPOSE_INTERNAL,
        recipient=pb.Recipient(person_id=person_id),
        template=pb.TemplateBody(template=TEMPLATE, fields=fields),
        subject_type=wire.DIGEST,
        subject_id=person_id,
        # Its time was chosen; it waits for nothing more.
        urgent=True,
    )


def _item(delivery: Delivery) -> str:
    return delivery.text if not delivery.subject or delivery.subject in delivery.text else _titled(delivery)


def _titled(delivery: Delivery) -> str:
    return f"{delivery.subject}\n{delivery.text}"
