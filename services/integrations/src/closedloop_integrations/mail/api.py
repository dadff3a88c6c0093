"""MailService."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

from closedloop.integrations.v1 import mail_pb2 as pb
from closedloop_chassis import errors, etags, pages, protos
from closedloop_chassis.enums import word
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_integrations.mail import intake, store, wire
from closedloop_integrations.mail.mime import NotMailError
from closedloop_integrations.mail.rules import MailRules

LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"

rpcs = Rpcs("closedloop.integrations.v1.MailService")


@rpcs.method
async def ingest_mail(request: pb.IngestMailRequest, call: Call) -> pb.Mail:
    limit = call.rules(MailRules).max_bytes
    if len(request.raw) > limit:
        raise errors.InvalidArgument(
            "MAIL_TOO_LARGE", f"a mail has at most {limit} bytes", {"raw": f"{len(request.raw)} bytes"}
        )
    received = protos.instant(request.receive_time, "receive_time") if request.HasField("receive_time") else call.now
    source_id = hashlib.sha256(request.raw).hexdigest()
    try:
        mail = await intake.take_in(call, request.raw, source=request.source, source_id=source_id, received_at=received)
    except NotMailError as error:
        raise errors.InvalidArgument(
            "MAIL_UNREADABLE", f"these bytes are no mail: {error}", {"raw": str(error)}
        ) from error
    call.audit(mail.id, "ingest", after={"source": mail.source, "message_id": mail.message_id, "nature": mail.nature})
    owner = await store.account(call.tx, mail.account_id) if mail.account_id else None
    return wire.mail(mail, (owner or {}).get("owner_id", ""), (owner or {}).get("unit_id", ""))


@rpcs.method
async def get_mail(request: pb.GetMailRequest, call: Call) -> pb.Mail:
    mail = await store.get(call.db, request.id)
    if mail is None:
        raise errors.NotFound("MAIL_UNKNOWN", f"no mail {request.id}")
    call.authorize(mail.owner_id or "", mail.unit_id or "", mail.participant_ids or ())
    return wire.mail(mail, mail.owner_id or "", mail.unit_id or "")


@rpcs.method
async def list_mails(request: pb.ListMailsRequest, call: Call) -> pb.ListMailsResponse:
    at, id = pages.after(request, "9999-12-31T00:00:00+00:00", LAST_ID)
    found = await store.listed(
        call.db,
        {
            **call.scope.params,
            "at": at,
            "id": id,
            "account_id": request.account_id or None,
            "contact_id": request.contact_id or None,
            "opportunity_id": request.opportunity_id or None,
            "thread_id": request.thread_id or None,
            "owner_id": request.owner_id,
            "direction": word(pb.MailDirection, request.direction),
            "nature": word(pb.MailNature, request.nature),
            "fact_kind": word(pb.MailFactKind, request.fact_kind),
            "unlinked": request.unlinked,
            "query": request.query,
            "begin": protos.instant(request.received.start_time) if request.received.HasField("start_time") else None,
            "end": protos.instant(request.received.end_time) if request.received.HasField("end_time") else None,
            "limit": pages.size(request) + 1,
        },
    )
    shown, token = pages.split(found, request, lambda mail: (mail.received_at.isoformat(), mail.id))
    mails = [wire.mail(each, each.owner_id or "", each.unit_id or "", words=False) for each in shown]
    return pb.ListMailsResponse(mails=mails, next_page_token=token)


@rpcs.method
async def link_mail(request: pb.LinkMailRequest, call: Call) -> pb.Mail:
    mail = await store.lock(call.tx, request.id)
    if mail is None:
        raise errors.NotFound("MAIL_UNKNOWN", f"no mail {request.id}")
    if mail.account_id:
        call.authorize(mail.owner_id or "", mail.unit_id or "", mail.participant_ids or ())
    etags.check(request.etag, mail.version)
    account = await store.account(call.tx, request.account_id)
    if account is None:
        raise errors.NotFound("ACCOUNT_UNKNOWN", f"no account {request.account_id}")
    call.authorize(account["owner_id"], account["unit_id"], account["participant_ids"])
    if request.contact_id:
        contact = await store.contact(call.tx, request.contact_id)
        if contact is None or contact["account_id"] != request.account_id:
            raise errors.NotFound(
                "CONTACT_UNKNOWN", f"account {request.account_id} has no contact {request.contact_id}"
            )
    before = {name: getattr(mail, name) for name in ("account_id", "contact_id", "opportunity_id")}
    mail.account_id, mail.contact_id = request.account_id, request.contact_id or mail.contact_id
    mail.opportunity_id = request.opportunity_id or mail.opportunity_id
    mail.version += 1
    for fact in mail.facts:
        if not fact["person_name"] and fact["kind"] not in ("new_contact", "new_project"):
            fact["contact_id"] = mail.contact_id or ""
    store.link(call.tx, mail)
    call.audit(mail.id, "link", before=before, after={name: asdict(mail)[name] for name in before})
    intake.tell(call, mail, account)
    return wire.mail(mail, account["owner_id"], account["unit_id"])
