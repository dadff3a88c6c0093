"""ExportTrail: one request with everything said of it, to file or to print, its last hash printed on it (S66)."""

from __future__ import annotations

import json

from google.protobuf import json_format

from closedloop.approvals.v1 import requests_pb2 as pb
from closedloop_approvals.requests import messages, reading, store
from closedloop_approvals.requests.document import Document, html, markdown, wording
from closedloop_chassis import errors
from closedloop_chassis.work import Call

# A trail this long is a machine gone wild; the rest is read by ListTrail.
LONGEST = 10_000


async def document(request: pb.ExportTrailRequest, call: Call) -> pb.ExportTrailResponse:
    """Raises InvalidArgument LANGUAGE_UNKNOWN, FailedPrecondition TRAIL_TOO_LONG."""
    held = (await reading.readable(call, request.id)).request
    language = (request.language or call.home.rules.language).replace("_", "-").partition("-")[0].lower()
    words = wording(language)
    if words is None:
        violations = {"language": "zh or en"}
        raise errors.InvalidArgument("LANGUAGE_UNKNOWN", f"no words for {request.language}", violations)
    links = await store.trail(call.db, held.id, 0, LONGEST + 1)
    if len(links) > LONGEST:
        raise errors.FailedPrecondition("TRAIL_TOO_LONG", f"more than {LONGEST} entries; read it by ListTrail")
    name = f"approval-{held.kind}-{held.id}"
    if request.format == pb.DOCUMENT_FORMAT_JSON:
        body = {
            "request": json_format.MessageToDict(messages.request(held), preserving_proto_field_name=True),
            # As it was hashed: whoever has this file can recompute the chain.
            "trail": [
                {"content": link.content, "previous_hash": link.previous_hash, "hash": link.hash} for link in links
            ],
        }
        text, media, ending = json.dumps(body, ensure_ascii=False, indent=1), "application/json", "json"
    else:
        zone = call.home.zone(held.unit_id)
        shown = Document(messages.request(held), [messages.trail_entry(link) for link in links], words, zone, call.org)
        if request.format == pb.DOCUMENT_FORMAT_HTML:
            text, media, ending = html(shown), "text/html; charset=utf-8", "html"
        else:
            text, media, ending = markdown(shown), "text/markdown; charset=utf-8", "md"
    return pb.ExportTrailResponse(
        file_name=f"{name}.{ending}", media_type=media, content=text.encode(), trail_hash=held.trail_hash
    )
