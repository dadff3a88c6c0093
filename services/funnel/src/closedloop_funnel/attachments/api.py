"""AttachmentService: files kept by content, pictures read for time, place and likeness (S50)."""

from __future__ import annotations

import asyncio
import hashlib

from google.type.latlng_pb2 import LatLng

from closedloop.funnel.v1 import attachments_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.attachments import photos, rules, store
from closedloop_funnel.attachments.record import Attachment
from closedloop_funnel.attachments.rules import AttachmentRules

rpcs = Rpcs("closedloop.funnel.v1.AttachmentService")


@rpcs.method
async def upload_attachment(request: pb.UploadAttachmentRequest, call: Call) -> pb.Attachment:
    judged_by = call.rules(AttachmentRules)
    person = call.org.person(call.caller.subject)
    unit_id = person.unit_id if person else ""
    found = await asyncio.to_thread(photos.sniff, request.content)
    content_type = rules.settle(judged_by, request.content_type, found, len(request.content))
    photo = None
    if content_type.startswith(rules.IMAGE):
        zone = call.home.zone(unit_id)
        photo = await asyncio.to_thread(photos.read, request.content, judged_by.largest_pixels, zone)
        if photo is None:
            raise errors.InvalidArgument(
                "CONTENT_TYPE_MISMATCH", "the picture cannot be opened", {"content": "no readable picture"}
            )
    file = Attachment(
        id=new_id(),
        sha256=hashlib.sha256(request.content).digest(),
        file_name=request.file_name,
        content_type=content_type,
        size_bytes=len(request.content),
        author_id=call.caller.subject,
        unit_id=unit_id,
        uploaded_at=call.now,
        taken_at=photo.taken_at if photo else None,
        latitude=photo.latitude if photo else None,
        longitude=photo.longitude if photo else None,
        device=photo.device if photo else "",
        software=photo.software if photo else "",
        width=photo.width if photo else None,
        height=photo.height if photo else None,
        picture=photo.picture if photo else None,
    )
    similar = await store.similar(call.tx, file, judged_by.similar_bits)
    store.add(call.tx, file, request.content)
    call.audit(file.id, "upload", after={"content_type": content_type, "sha256": file.sha256.hex()})
    return _to_proto(file, similar)


@rpcs.method
async def get_attachment(request: pb.GetAttachmentRequest, call: Call) -> pb.Attachment:
    file = await store.get(call.db, request.attachment_id)
    if file.author_id != call.caller.subject and not call.scope.covers(file.author_id, file.unit_id):
        readers = await call.db.all(store.READERS, {"id": file.id, "reader": call.scope.owner_id})
        if not any(call.scope.covers(one["owner_id"], one["unit_id"], one["participant_ids"]) for one in readers):
            call.authorize(file.author_id, file.unit_id)
    answer = _to_proto(file, await store.similar(call.db, file, call.rules(AttachmentRules).similar_bits))
    if request.include_content:
        content = await call.db.value(store.CONTENT, {"sha256": file.sha256})
        if not content:
            raise errors.FailedPrecondition("ATTACHMENT_ERASED", "it showed a person who asked to be forgotten")
        answer.content = content
    return answer


def _to_proto(file: Attachment, similar: list[str]) -> pb.Attachment:
    answer = pb.Attachment(
        id=file.id,
        file_name=file.file_name,
        content_type=file.content_type,
        size_bytes=file.size_bytes,
        sha256=file.sha256.hex(),
        author_id=file.author_id,
        upload_time=protos.timestamp(file.uploaded_at),
    )
    if file.picture is not None:
        answer.photo.CopyFrom(
            pb.PhotoMetadata(
                taken_time=protos.timestamp(file.taken_at),
                device=file.device,
                software=file.software,
                width=file.width or 0,
                height=file.height or 0,
                perceptual_hash=f"{file.picture & (1 << 64) - 1:016x}",
                similar_attachment_ids=similar,
            )
        )
        if file.latitude is not None and file.longitude is not None:
            answer.photo.position.CopyFrom(LatLng(latitude=file.latitude, longitude=file.longitude))
    return answer
