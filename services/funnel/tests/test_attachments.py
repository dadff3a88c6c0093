"""Files as evidence: what a picture says of itself, what is no picture, who may read it (S50)."""

from __future__ import annotations

import io
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from google.type.latlng_pb2 import LatLng
from PIL import Image

from closedloop.funnel.v1 import activities_pb2, activities_pb2_grpc, pipelines_pb2
from closedloop.funnel.v1 import attachments_pb2 as pb
from closedloop.funnel.v1 import attachments_pb2_grpc as rpc
from closedloop.funnel.v1 import opportunities_pb2 as deals
from closedloop_funnel.activities.rules import VisitRules, inconsistency
from closedloop_funnel.attachments import photos
from closedloop_funnel.places import metres

from .conftest import ACME, PROFILE, Company, rid
from .pictures import picture
from .raw_history import HOME
from .test_activities import call

PLANT = (31.2304, 121.4737)
AT = datetime(2026, 1, 5, 8, 10, tzinfo=HOME)
PHOTOS = (
    activities_pb2.PHOTO_SUBJECT_STOREFRONT,
    activities_pb2.PHOTO_SUBJECT_DISPLAY,
    activities_pb2.PHOTO_SUBJECT_CONVERSATION,
)


def client(company: Company, person: str = "rep1", role: str = "rep") -> rpc.AttachmentServiceStub:
    return company.live.stub(rpc.AttachmentServiceStub, person, role)


async def upload(company: Company, content: bytes, kind: str = "image/jpeg", person: str = "rep1") -> pb.Attachment:
    return await client(company, person).UploadAttachment(
        pb.UploadAttachmentRequest(request_id=rid(), file_name="门头.jpg", content_type=kind, content=content)
    )


def test_a_picture_tells_when_where_and_what_it_shows() -> None:
    read = photos.read(picture(1, taken=AT, place=PLANT, software="Snapseed"), 10**7, UTC)
    assert read is not None
    assert (read.taken_at, read.device, read.software) == (AT, "HUAWEI", "Snapseed")
    assert (read.latitude, read.longitude) == (pytest.approx(PLANT[0], abs=1e-5), pytest.approx(PLANT[1], abs=1e-5))
    again = photos.read(picture(1, quality=40, size=(320, 240)), 10**7, UTC)
    other = photos.read(picture(2), 10**7, UTC)
    assert again is not None
    assert other is not None
    assert (read.picture ^ again.picture).bit_count() <= 3 < (read.picture ^ other.picture).bit_count()
    assert photos.read(picture(1), 1000, UTC) is None, "more pixels than are taken"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"%PDF-1.7 ...", "application/pdf"),
        (b"PK\x03\x04rest", "application/zip"),
        ("会议纪要\n第一条".encode(), "text/plain"),
        (b"\xff\xd8\xff\xe0 not really", ""),
        (b"\x00\x01\x02", ""),
        (b"GIF89a" + b"\x00" * 20, ""),
    ],
)
def test_a_file_is_what_its_bytes_say(content: bytes, found: str) -> None:
    assert photos.sniff(content) == found


@pytest.mark.mission("S50")
@pytest.mark.parametrize(
    ("taken", "shot", "expected"),
    [
        (AT, PLANT, ""),
        (AT - timedelta(minutes=60), None, ""),
        (AT - timedelta(minutes=61), None, "taken at"),
        (AT + timedelta(days=1), PLANT, "taken at"),
        (AT, (31.2304, 121.48), "m from where"),
        (None, None, ""),
    ],
)
def test_a_photo_contradicts_the_visit_in_time_or_place(
    taken: datetime | None, shot: tuple[float, float] | None, expected: str
) -> None:
    found = inconsistency(VisitRules(), taken, shot, (AT, AT + timedelta(minutes=30)), PLANT)
    assert expected in found
    assert bool(expected) == bool(found)
    assert inconsistency(VisitRules(metadata_required=True), None, None, (AT, AT), PLANT)
    assert metres((31.2304, 121.4737), (39.9042, 116.4074)) == pytest.approx(1_067_000, rel=0.01)


@pytest.mark.mission("S50")
async def test_three_photos_of_a_visit_are_held_against_it(company: Company) -> None:
    visits = company.live.stub(activities_pb2_grpc.ActivityServiceStub, "rep1", "rep")
    files = [
        await upload(company, picture(seed, taken=AT if seed else AT - timedelta(days=2), place=PLANT))
        for seed in range(3)
    ]
    assert files[1].photo.taken_time.ToDatetime(UTC) == AT
    assert files[1].photo.position.latitude == pytest.approx(PLANT[0], abs=1e-5)
    start = company.live.now - timedelta(minutes=55)
    evidence = activities_pb2.VisitEvidence(
        position=LatLng(latitude=PLANT[0], longitude=PLANT[1]),
        photos=[
            activities_pb2.VisitPhoto(attachment_id=file.id, subject=subject, consistent=True)
            for file, subject in zip(files, PHOTOS, strict=True)
        ],
    )
    request = call(company, kind=activities_pb2.ACTIVITY_KIND_VISIT, account_id=ACME, visit=evidence)
    request.start_time.FromDatetime(start.replace(tzinfo=None))
    logged = await visits.LogActivity(request)
    assert [photo.consistent for photo in logged.visit.photos] == [False, True, True]
    assert "taken at 2026-01-03" in logged.visit.photos[0].inconsistency
    assert not logged.visit.missing_keys

    # Whoever may read the visit may read its photos; nobody else, and nobody attaches what is not theirs.
    shown = await client(company, "m1", "manager").GetAttachment(
        pb.GetAttachmentRequest(attachment_id=files[0].id, include_content=True)
    )
    assert (shown.content, shown.sha256) == (picture(0, taken=AT - timedelta(days=2), place=PLANT), files[0].sha256)
    with company.live.refused("PERMISSION_DENIED"):
        await client(company, "rep2").GetAttachment(pb.GetAttachmentRequest(attachment_id=files[0].id))
    stolen = call(company, kind=activities_pb2.ACTIVITY_KIND_VISIT, visit=evidence)
    with company.live.refused("INVALID_ARGUMENT", "ATTACHMENT_UNKNOWN"):
        await company.live.stub(activities_pb2_grpc.ActivityServiceStub, "rep2", "rep").LogActivity(stolen)
    with company.live.refused("NOT_FOUND", "ATTACHMENT_UNKNOWN"):
        await client(company).GetAttachment(pb.GetAttachmentRequest(attachment_id=ACME))

    # The same picture again, smaller and from another phone's folder, is known.
    again = await upload(company, picture(1, quality=50, size=(320, 240)), person="rep2")
    assert list(again.photo.similar_attachment_ids) == [files[1].id]
    twice = await upload(company, picture(1, taken=AT, place=PLANT))
    assert twice.sha256 == files[1].sha256
    kept = await company.live.db.value("SELECT count(*) FROM attachment_content")
    assert kept == 4, "the same bytes are one content"


@pytest.mark.mission("S50")
async def test_what_is_no_photo_is_refused_and_papers_prove_a_step(company: Company) -> None:
    refused = company.live.refused
    with refused("INVALID_ARGUMENT", "CONTENT_TYPE_MISMATCH"):
        await upload(company, b"MZ this is a program")
    with refused("INVALID_ARGUMENT", "CONTENT_TYPE_MISMATCH"):
        await upload(company, picture(1)[:400])
    gif = io.BytesIO()
    Image.new("L", (4, 4)).save(gif, "GIF")
    with refused("INVALID_ARGUMENT", "CONTENT_TYPE_MISMATCH"):
        await upload(company, gif.getvalue(), "image/gif")
    with refused("INVALID_ARGUMENT", "CONTENT_TYPE_REFUSED"):
        await upload(company, b"PK\x03\x04", "application/zip")
    # A PNG that claims to be huge: 100,000 x 100,000 pixels in a hundred bytes.
    header = b"IHDR" + (100_000).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"
    bomb = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    with refused("INVALID_ARGUMENT", "CONTENT_TYPE_MISMATCH"):
        await upload(company, bomb, "image/png")

    paper = await upload(company, b"%PDF-1.7 proposal", "application/pdf")
    visits = company.live.stub(activities_pb2_grpc.ActivityServiceStub, "rep1", "rep")
    photo = activities_pb2.VisitPhoto(attachment_id=paper.id, subject=PHOTOS[0])
    with refused("INVALID_ARGUMENT", "ATTACHMENT_NOT_IMAGE"):
        await visits.LogActivity(call(company, visit=activities_pb2.VisitEvidence(photos=[photo])))
    deal = await company.climb(await company.open(account_id=ACME), PROFILE)
    deal = await company.climb(deal, to_stage_key="proposal", skip_reason="老客户, 需求已知")
    proof = deals.StageEvidence(
        requirement_key="proposal", kind=pipelines_pb2.EVIDENCE_KIND_PROPOSAL, attachment_ids=[paper.id]
    )
    theirs = await upload(company, b"%PDF-1.7 theirs", "application/pdf", person="rep2")
    other = deals.StageEvidence()
    other.CopyFrom(proof)
    other.attachment_ids[:] = [theirs.id]
    with refused("INVALID_ARGUMENT", "EVIDENCE_INVALID"):
        await company.climb(deal, other)
    assert (await company.climb(deal, proof)).stage_key == "quote_approval"
