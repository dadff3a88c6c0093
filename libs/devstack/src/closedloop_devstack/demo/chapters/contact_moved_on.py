"""Step 9: seven days of silence, a wake-up mail, an answer that says the contact has a new job."""

from __future__ import annotations

from datetime import timedelta

from closedloop.customers.v1 import (
    accounts_pb2,
    accounts_pb2_grpc,
    contacts_pb2,
    contacts_pb2_grpc,
    interactions_pb2,
    interactions_pb2_grpc,
    suggestions_pb2,
    suggestions_pb2_grpc,
    wake_ups_pb2,
    wake_ups_pb2_grpc,
)
from closedloop.integrations.v1 import mail_pb2, mail_pb2_grpc
from closedloop.platform.v1 import platform_pb2, platform_pb2_grpc
from closedloop_chassis import ids, protos
from closedloop_devstack.demo import rows
from closedloop_devstack.demo.company import Customer
from closedloop_devstack.demo.narrator import Text
from closedloop_devstack.demo.stage import OPERATIONS, PROGRAM
from closedloop_devstack.demo.tale import Chapter, Tale
from closedloop_devstack.demo.watch import START
from closedloop_devstack.simulators.mailboxes import StoredMessage

SILENCE = "customers.silence"
NEW_TITLE = "集团采购总监"


def play(tale: Tale) -> None:
    customer = next(known for known in tale.company.customers if known.industry == "manufacturing")
    accounts = tale.stage.stub(accounts_pb2_grpc.AccountServiceStub, OPERATIONS)
    account = accounts.GetAccount(accounts_pb2.GetAccountRequest(provenance=rows.came_from(customer.code)))
    [contact] = (
        _contacts(tale, OPERATIONS).ListContacts(contacts_pb2.ListContactsRequest(account_id=account.id)).contacts
    )
    _looked(tale, customer, account)
    mail = _woken_up(tale, customer, account)
    suggestion = _answered(tale, customer, account, contact, mail)
    _confirmed(tale, customer, contact, suggestion)
    tale.close(
        Text(
            "客户信息孤岛：在招标不知道，联系人换岗也不知道",
            "Customer data is an island: their tender and their contact's new job go unseen",
        ),
        Text(
            "公告触发重评；沉默 7 天自动唤醒，回信里的换岗经人确认后写入",
            "The notice re-evaluates; seven silent days wake them up; what the answer says is confirmed, then written",
        ),
    )


def _contacts(tale: Tale, person: str) -> contacts_pb2_grpc.ContactServiceStub:
    return tale.stage.stub(contacts_pb2_grpc.ContactServiceStub, person)


def _looked(tale: Tale, customer: Customer, account: accounts_pb2.Account) -> None:
    """On the first day the customer downloaded a brochure; the website's program brings it."""
    product = next(one for one in tale.company.products if one.line == customer.product_line)
    row = interactions_pb2.InteractionRow(
        provenance=rows.came_from("web-20260105-077", source="website"),
        record=accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_ACCOUNT, id=account.id),
        channel=interactions_pb2.CHANNEL_WEB,
        direction=interactions_pb2.INTERACTION_DIRECTION_INBOUND,
        action="download",
        occur_time=protos.timestamp(START + timedelta(minutes=20)),
        summary=f"下载《{product.name}》选型手册",
        product_ids=[product.id],
    )
    interactions = tale.stage.stub(interactions_pb2_grpc.InteractionServiceStub, PROGRAM)
    request = interactions_pb2.BulkRecordInteractionsRequest(request_id=ids.new_id(), rows=[row])
    kept = interactions.BulkRecordInteractions(request)
    problems = "; ".join(error.message for error in kept.errors)
    tale.check(
        f"{customer.name} 在官网下载过《{product.name}》手册 {problems}",
        f"{customer.name} had downloaded the brochure of {product.name} {problems}",
        kept.created == 1,
    )
    tale.facts(looked_at=product.name)


def _woken_up(tale: Tale, customer: Customer, account: accounts_pb2.Account) -> StoredMessage:
    tale.rule(
        "customers",
        "customers.wake_up",
        "7 天无互动即按客户自己的行为写信唤醒",
        "more than 7 days without interaction start a wake-up made from the customer's own behaviour",
    )
    for clock in tale.stage.clocks("customers", SILENCE, account.id)[-1:]:
        tale.clock(clock)
    tale.stage.move_to(START + timedelta(days=7, hours=1))
    tale.tell(
        f"一周过去，没有人和 {customer.name} 说过话。", f"A week has passed and nobody has spoken with {customer.name}."
    )
    wake_ups = tale.stage.stub(wake_ups_pb2_grpc.WakeUpServiceStub, OPERATIONS)
    record = accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_ACCOUNT, id=account.id)

    def sent() -> wake_ups_pb2.WakeUp | None:
        found = wake_ups.ListWakeUps(wake_ups_pb2.ListWakeUpsRequest(record=record)).wake_ups
        return next((one for one in found if any(message.HasField("send_time") for message in one.messages)), None)

    woken = tale.stage.until("the wake-up mail to leave", sent)
    tale.ruled(woken.rule)
    box = tale.stage.outside.mail.mailbox(customer.contact.email)
    [mail] = tale.stage.until("the mail in the customer's mailbox", lambda: list(box.messages))
    running = wake_ups.ListWakeUps(wake_ups_pb2.ListWakeUpsRequest(page_size=1000)).wake_ups
    tale.facts(wake_up={"topic": woken.topic, "control": woken.control, "subject": mail.subject}, woken=len(running))
    tale.check(
        f"唤醒邮件经 SMTP 寄到 {customer.contact.name}：“{mail.subject}”",
        f"the wake-up mail left through SMTP for {customer.contact.name}: “{mail.subject}”",
        woken.record.id == account.id and mail.subject == woken.messages[0].subject_line,
    )
    return mail


def _answered(
    tale: Tale, customer: Customer, account: accounts_pb2.Account, contact: contacts_pb2.Contact, mail: StoredMessage
) -> suggestions_pb2.Suggestion:
    tale.stage.later(minutes=40)
    tale.stage.outside.mail.reply(
        mail,
        f"您好，感谢来信。我已于上周调任{NEW_TITLE}，原来的设备采购由马文斌接手。\n新产线的资料请继续发给我。\n\n{customer.contact.name}\n{customer.name}",
        f"{customer.contact.name} <{customer.contact.email}>",
    )
    tale.tell(
        f"{customer.contact.name} 回信：“我已于上周调任{NEW_TITLE}”。",
        f"{customer.contact.name} answers: “last week I became {NEW_TITLE}”.",
    )
    # The mailbox is polled every few seconds of the story's time.
    tale.stage.later(minutes=1)
    mails = tale.stage.stub(mail_pb2_grpc.MailServiceStub, OPERATIONS)
    asked = mail_pb2.ListMailsRequest(contact_id=contact.id, direction=mail_pb2.MAIL_DIRECTION_INBOUND)
    [received] = tale.stage.until("the answer to be fetched", lambda: mails.ListMails(asked).mails)
    read = mails.GetMail(mail_pb2.GetMailRequest(id=received.id))
    fact = next((one for one in read.facts if one.kind == mail_pb2.MAIL_FACT_KIND_JOB_CHANGE), None)
    tale.check(
        "回信经 IMAP 取回，对上联系人和那封唤醒邮件",
        "the answer is fetched by IMAP and tied to the contact and to our mail",
        read.account_id == account.id and bool(read.delivery_id),
    )
    tale.check(
        f"读出一条换岗事实，出处是这句话：“{fact.sentence if fact else ''}”",
        f"a job change is read from this sentence: “{fact.sentence if fact else ''}”",
        fact is not None and NEW_TITLE in fact.sentence,
    )
    suggestions = tale.stage.stub(suggestions_pb2_grpc.SuggestionServiceStub, customer.owner_id)
    wanted = suggestions_pb2.ListSuggestionsRequest(
        account_id=account.id, kinds=[suggestions_pb2.SUGGESTION_KIND_JOB_CHANGE]
    )
    [suggestion] = tale.stage.until("the suggestion", lambda: suggestions.ListSuggestions(wanted).suggestions)
    present = _contacts(tale, OPERATIONS).GetContact(contacts_pb2.GetContactRequest(id=contact.id))
    tale.facts(suggestion={"summary": suggestion.summary, "confidence": suggestion.confidence_ratio})
    tale.check(
        f"建议等 {tale.name(customer.owner_id)} 确认，联系人此刻未动",
        f"a suggestion waits for {tale.name(customer.owner_id)}; the contact is untouched",
        suggestion.state == suggestions_pb2.SUGGESTION_STATE_OPEN
        and present.state == contacts_pb2.CONTACT_STATE_CURRENT
        and present.profile.job_title == contact.profile.job_title,
    )
    return suggestion


def _confirmed(
    tale: Tale, customer: Customer, contact: contacts_pb2.Contact, suggestion: suggestions_pb2.Suggestion
) -> None:
    suggestions = tale.stage.stub(suggestions_pb2_grpc.SuggestionServiceStub, customer.owner_id)
    suggestions.DecideSuggestion(
        suggestions_pb2.DecideSuggestionRequest(
            request_id=ids.new_id(),
            id=suggestion.id,
            etag=suggestion.etag,
            decision=suggestions_pb2.SUGGESTION_DECISION_CONFIRM,
        )
    )
    after = _contacts(tale, customer.owner_id).GetContact(contacts_pb2.GetContactRequest(id=contact.id))
    tale.tell(f"{tale.name(customer.owner_id)} 确认。", f"{tale.name(customer.owner_id)} confirms.")
    tale.figures("联系人职务", "contact's title", contact.profile.job_title, after.profile.job_title)
    tale.check(
        "联系人已更新并标记换岗",
        "the contact is changed and marked as having a new job",
        after.state == contacts_pb2.CONTACT_STATE_JOB_CHANGED and NEW_TITLE in after.profile.job_title,
    )
    accounts = tale.stage.stub(accounts_pb2_grpc.AccountServiceStub, OPERATIONS)
    asked = accounts_pb2.ListAccountChangesRequest(account_id=contact.account_id, contact_id=contact.id)
    change = next((one for one in accounts.ListAccountChanges(asked).changes if "job_title" in one.field), None)
    cited = change.business_action if change else accounts_pb2.BusinessAction()
    tale.facts(audit={"field": change.field if change else "", "cited": cited.kind, "reference": cited.reference})
    tale.check(
        f"留痕写明是谁改的、凭哪一封信（{cited.kind} {cited.reference}）",
        f"the change names who made it and on the strength of which mail ({cited.kind} {cited.reference})",
        change is not None and change.actor_id == customer.owner_id and bool(cited.kind and cited.reference),
    )
    audit = tale.stage.stub(platform_pb2_grpc.AuditServiceStub, OPERATIONS, "customers")
    entries = audit.ListAuditEntries(platform_pb2.ListAuditEntriesRequest(subject=contact.id)).entries
    tale.check(
        "审计里同样能查到",
        "the audit trail says the same",
        any(entry.actor_id == customer.owner_id for entry in entries),
    )


CHAPTER = Chapter(
    id="9",
    title=Text("沉默的客户：唤醒、回信、换岗", "The silent customer: woken up, answered, moved on"),
    rows=("S27", "S30", "S31", "S32", "S69", "S73"),
    play=play,
    needs=("1",),
)
