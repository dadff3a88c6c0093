"""Facts read from customers' mail wait for a person; nothing is written silently (S32)."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Value

from closedloop.approvals.v1 import events_pb2 as approvals
from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import accounts_pb2, contacts_pb2
from closedloop.customers.v1 import events_pb2 as events
from closedloop.customers.v1 import suggestions_pb2 as pb
from closedloop.integrations.v1 import events_pb2 as integrations
from closedloop.integrations.v1 import mail_pb2
from closedloop_chassis import protos

from .conftest import House


async def customer(house: House, rid: Any) -> tuple[accounts_pb2.Account, contacts_pb2.Contact]:
    account = await house.rep1.accounts.CreateAccount(
        accounts_pb2.CreateAccountRequest(request_id=rid(), profile=accounts_pb2.AccountProfile(name="华东精密"))
    )
    contact = await house.rep1.contacts.CreateContact(
        contacts_pb2.CreateContactRequest(
            request_id=rid(),
            account_id=account.id,
            profile=contacts_pb2.ContactProfile(
                name="李伟", job_title="采购经理", email_addresses=["li@hd.example.cn"], phones=["13800138000"]
            ),
        )
    )
    return account, contact


def fact(kind: int, confidence: float = 0.9, sentence: str = "", **values: str) -> mail_pb2.MailFact:
    return mail_pb2.MailFact(id="f", kind=kind, values=values, sentence=sentence, confidence=confidence)  # type: ignore[arg-type]


async def mail(house: House, *facts: mail_pb2.MailFact, mail_id: str = "m-1") -> None:
    message = mail_pb2.Mail(
        id=mail_id,
        direction=mail_pb2.MAIL_DIRECTION_INBOUND,
        nature=mail_pb2.MAIL_NATURE_PERSONAL,
        subject="答复",
        facts=facts,
        receive_time=protos.timestamp(house.live.now),
    )
    getattr(message, "from").CopyFrom(mail_pb2.MailAddress(address="li@hd.example.cn", name="李伟"))
    await house.live.hear(integrations.MailReceived(mail=message, version=1), mail_id, source="integrations")


async def listed(house: House, **fields: Any) -> list[pb.Suggestion]:
    answer = await house.rep1.suggestions.ListSuggestions(pb.ListSuggestionsRequest(**fields))
    return list(answer.suggestions)


def decide(suggestion: pb.Suggestion, rid: Any, confirm: bool = True, **fields: Any) -> pb.DecideSuggestionRequest:
    decision = pb.SUGGESTION_DECISION_CONFIRM if confirm else pb.SUGGESTION_DECISION_REJECT
    return pb.DecideSuggestionRequest(
        request_id=rid(), id=suggestion.id, etag=suggestion.etag, decision=decision, **fields
    )


JOB = fact(mail_pb2.MAIL_FACT_KIND_JOB_CHANGE, sentence="我已调任技术总监。", title="技术总监")


@pytest.mark.mission("S32", "S31", "S30")
async def test_a_job_change_read_from_a_mail_is_written_when_confirmed(house: House, rid: Any) -> None:
    account, contact = await customer(house, rid)
    await mail(house, JOB)
    (suggestion,) = await listed(house)
    assert suggestion.kind == pb.SUGGESTION_KIND_JOB_CHANGE
    assert suggestion.record.id == contact.id
    assert suggestion.account_id == account.id
    assert suggestion.quote == "我已调任技术总监。"
    assert suggestion.provenance.source == "mail"
    assert suggestion.provenance.source_id == "m-1"
    (change,) = suggestion.changes
    assert (change.field, change.present.string_value, change.proposed.string_value) == (
        "job_title",
        "采购经理",
        "技术总监",
    )
    unchanged = await house.rep1.contacts.GetContact(contacts_pb2.GetContactRequest(id=contact.id))
    assert unchanged == contact or unchanged.profile == contact.profile
    assert unchanged.version == contact.version, "nothing is written silently"
    (task,) = await house.live.told(approvals.TaskRequested)
    assert (task.content.kind, task.content.assignee_id) == ("confirmation", "rep1")
    assert task.content.cause_key == f"customers.suggestion:{suggestion.id}"
    await mail(house, JOB)
    assert len(await listed(house)) == 1, "a fact told twice from one source is one suggestion"
    confirmed = await house.rep1.suggestions.DecideSuggestion(decide(suggestion, rid))
    assert confirmed.state == pb.SUGGESTION_STATE_CONFIRMED
    assert confirmed.changes[0].confirmed.string_value == "技术总监"
    marked = await house.rep1.contacts.GetContact(contacts_pb2.GetContactRequest(id=contact.id))
    assert marked.state == contacts_pb2.CONTACT_STATE_JOB_CHANGED
    assert marked.profile.job_title == "技术总监"
    assert marked.employments[0].business_action.kind == "mail"
    trail = await house.rep1.accounts.ListAccountChanges(
        accounts_pb2.ListAccountChangesRequest(account_id=account.id, contact_id=contact.id, field_prefix="state")
    )
    assert trail.changes[0].business_action.kind == "mail"
    assert trail.changes[0].business_action.reference == "m-1"
    assert trail.changes[0].actor_id == "rep1"
    (cleared,) = await house.live.told(approvals.TaskWithdrawn)
    assert cleared.cause_key == task.content.cause_key
    with house.live.refused("FAILED_PRECONDITION", "ALREADY_DECIDED"):
        await house.m1.suggestions.DecideSuggestion(decide(confirmed, rid))


@pytest.mark.mission("S32")
async def test_a_rejection_leaves_everything_as_it_was(house: House, rid: Any) -> None:
    _, contact = await customer(house, rid)
    await mail(house, JOB)
    (suggestion,) = await listed(house)
    with house.live.refused("INVALID_ARGUMENT", "REASON_MISSING"):
        await house.rep1.suggestions.DecideSuggestion(decide(suggestion, rid, confirm=False))
    rejected = await house.rep1.suggestions.DecideSuggestion(
        decide(suggestion, rid, confirm=False, reason="同名不同人")
    )
    assert rejected.state == pb.SUGGESTION_STATE_REJECTED
    kept = await house.rep1.contacts.GetContact(contacts_pb2.GetContactRequest(id=contact.id))
    assert kept.version == contact.version
    assert not await listed(house)
    assert len(await listed(house, states=[pb.SUGGESTION_STATE_REJECTED])) == 1


@pytest.mark.mission("S32")
async def test_of_two_who_decide_at_once_one_wins(house: House, rid: Any) -> None:
    _, contact = await customer(house, rid)
    await mail(house, JOB)
    (suggestion,) = await listed(house)
    requests = [decide(suggestion, rid, confirm=n % 2 == 0, reason="不是") for n in range(4)]
    answers = await asyncio.gather(
        *(desk.suggestions.DecideSuggestion(r) for desk, r in zip((house.rep1, house.m1) * 2, requests, strict=True)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, pb.Suggestion) for answer in answers) == 1
    lost = [a for a in answers if isinstance(a, grpc.aio.AioRpcError)]
    assert {a.code() for a in lost} == {grpc.StatusCode.FAILED_PRECONDITION}
    kept = await house.rep1.contacts.GetContact(contacts_pb2.GetContactRequest(id=contact.id))
    assert kept.version <= contact.version + 1


@pytest.mark.mission("S32")
async def test_a_person_corrects_what_was_read(house: House, rid: Any) -> None:
    _, contact = await customer(house, rid)
    await mail(house, JOB)
    (suggestion,) = await listed(house)
    wrong = [pb.SuggestedChange(field="phones", confirmed=Value(string_value="1"))]
    with house.live.refused("INVALID_ARGUMENT", "UNKNOWN_FIELD"):
        await house.rep1.suggestions.DecideSuggestion(decide(suggestion, rid, corrections=wrong))
    right = [pb.SuggestedChange(field="job_title", confirmed=Value(string_value="首席技术官"))]
    await house.rep1.suggestions.DecideSuggestion(decide(suggestion, rid, corrections=right))
    kept = await house.rep1.contacts.GetContact(contacts_pb2.GetContactRequest(id=contact.id))
    assert kept.profile.job_title == "首席技术官"


@pytest.mark.mission("S32")
async def test_a_record_that_changed_meanwhile_is_looked_at_again(house: House, rid: Any) -> None:
    _, contact = await customer(house, rid)
    await mail(house, JOB)
    (suggestion,) = await listed(house)
    from google.protobuf.field_mask_pb2 import FieldMask

    await house.rep1.contacts.UpdateContact(
        contacts_pb2.UpdateContactRequest(
            request_id=rid(),
            id=contact.id,
            etag=contact.etag,
            profile=contacts_pb2.ContactProfile(job_title="副总"),
            update_mask=FieldMask(paths=["job_title"]),
            business_action=accounts_pb2.BusinessAction(kind="call"),
        )
    )
    with house.live.refused("ABORTED", "RECORD_CHANGED"):
        await house.rep1.suggestions.DecideSuggestion(decide(suggestion, rid))


@pytest.mark.mission("S32", "S35")
async def test_a_confirmed_project_becomes_an_opportunity_point(house: House, rid: Any) -> None:
    account, contact = await customer(house, rid)
    await mail(
        house, fact(mail_pb2.MAIL_FACT_KIND_NEW_PROJECT, sentence="我们二期产线要上视觉检测。", project="二期产线")
    )
    (suggestion,) = await listed(house)
    assert suggestion.record.id == account.id
    confirmed = await house.rep1.suggestions.DecideSuggestion(decide(suggestion, rid))
    (found,) = await house.live.told(events.OpportunityPointFound)
    assert found.opportunity_point_id == confirmed.opportunity_point_id
    assert (found.account_id, found.contact_id, found.ownership.owner_id) == (account.id, contact.id, "rep1")
    assert found.need == "二期产线: 我们二期产线要上视觉检测。"


@pytest.mark.mission("S32")
async def test_new_people_and_details_are_taken_over(house: House, rid: Any) -> None:
    _, contact = await customer(house, rid)
    new = mail_pb2.MailFact(
        kind=mail_pb2.MAIL_FACT_KIND_NEW_CONTACT,
        person_name="钱丽",
        person_address="qian@hd.example.cn",
        values={"title": "工程师"},
        confidence=0.8,
    )
    await mail(house, new, fact(mail_pb2.MAIL_FACT_KIND_CONTACT_DETAIL, phone="13900139000"))
    by_kind = {s.kind: s for s in await listed(house)}
    made = await house.rep1.suggestions.DecideSuggestion(decide(by_kind[pb.SUGGESTION_KIND_NEW_CONTACT], rid))
    person = await house.rep1.contacts.GetContact(contacts_pb2.GetContactRequest(id=made.created_contact_id))
    assert (person.profile.name, person.profile.job_title) == ("钱丽", "工程师")
    await house.rep1.suggestions.DecideSuggestion(decide(by_kind[pb.SUGGESTION_KIND_CONTACT_DETAIL], rid))
    kept = await house.rep1.contacts.GetContact(contacts_pb2.GetContactRequest(id=contact.id))
    assert list(kept.profile.phones) == ["13900139000", "13800138000"]


async def test_what_is_doubtful_known_or_of_strangers_becomes_nothing(house: House, rid: Any) -> None:
    await mail(house, JOB, mail_id="stranger")
    await customer(house, rid)
    await mail(
        house,
        fact(mail_pb2.MAIL_FACT_KIND_JOB_CHANGE, confidence=0.2, title="总裁"),
        fact(mail_pb2.MAIL_FACT_KIND_CONTACT_DETAIL, phone="13800138000"),
        fact(mail_pb2.MAIL_FACT_KIND_ABSENCE, date="2026-02-01"),
    )
    assert not await listed(house)


@pytest.mark.mission("S32")
async def test_a_newer_fact_takes_the_place_of_an_older_one(house: House, rid: Any) -> None:
    await customer(house, rid)
    await mail(house, JOB)
    await mail(house, fact(mail_pb2.MAIL_FACT_KIND_JOB_CHANGE, title="总经理"), mail_id="m-2")
    (open_one,) = await listed(house)
    assert open_one.provenance.source_id == "m-2"
    assert len(await listed(house, states=[pb.SUGGESTION_STATE_SUPERSEDED])) == 1


@pytest.mark.mission("S32")
async def test_what_nobody_decides_expires(house: House, rid: Any) -> None:
    await customer(house, rid)
    await mail(house, JOB)
    await house.live.advance(days=30)
    (expired,) = await listed(house, states=[pb.SUGGESTION_STATE_EXPIRED])
    with house.live.refused("FAILED_PRECONDITION", "ALREADY_DECIDED"):
        await house.rep1.suggestions.DecideSuggestion(decide(expired, rid))


@pytest.mark.mission("S32", "S82")
async def test_a_colleague_proposes_and_the_owner_decides(house: House, rid: Any) -> None:
    account, contact = await customer(house, rid)
    engineer = house.caller("eng1", "engineer")

    def proposing(record_type: int, record_id: str, kind: int, field: str, value: str) -> pb.ProposeSuggestionRequest:
        return pb.ProposeSuggestionRequest(
            request_id=rid(),
            record=accounts_pb2.RecordReference(type=record_type, id=record_id),  # type: ignore[arg-type]
            kind=kind,  # type: ignore[arg-type]
            changes=[pb.SuggestedChange(field=field, proposed=Value(string_value=value))],
            provenance=Provenance(source="visit", source_id="v-1"),
        )

    detail = pb.SUGGESTION_KIND_ACCOUNT_DETAIL
    request = proposing(accounts_pb2.RECORD_TYPE_ACCOUNT, account.id, detail, "address", "上海市浦东新区 1 号")
    proposed = await engineer.suggestions.ProposeSuggestion(request)
    request.request_id = rid()
    assert (await engineer.suggestions.ProposeSuggestion(request)).id == proposed.id
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.rep9.suggestions.DecideSuggestion(decide(proposed, rid))
    with house.live.refused("PERMISSION_DENIED", "OUT_OF_SCOPE"):
        await house.rep9.suggestions.GetSuggestion(pb.GetSuggestionRequest(id=proposed.id))
    for bad, code, reason in (
        (
            proposing(accounts_pb2.RECORD_TYPE_ACCOUNT, account.id, detail, "colour", "x"),
            "INVALID_ARGUMENT",
            "UNKNOWN_FIELD",
        ),
        (
            proposing(accounts_pb2.RECORD_TYPE_ACCOUNT, account.id, detail, "name", "华东精密"),
            "FAILED_PRECONDITION",
            "NOTHING_NEW",
        ),
        (
            proposing(accounts_pb2.RECORD_TYPE_ACCOUNT, account.id, detail, "phones", "x"),
            "INVALID_ARGUMENT",
            "FIELD_INVALID",
        ),
        (
            proposing(accounts_pb2.RECORD_TYPE_CONTACT, contact.id, detail, "name", "x"),
            "INVALID_ARGUMENT",
            "UNKNOWN_FIELD",
        ),
        (proposing(accounts_pb2.RECORD_TYPE_ACCOUNT, contact.id, detail, "name", "x"), "NOT_FOUND", "RECORD_NOT_FOUND"),
    ):
        with house.live.refused(code, reason):
            await engineer.suggestions.ProposeSuggestion(bad)
    # No suggestion hangs an account below itself.
    circle = proposing(accounts_pb2.RECORD_TYPE_ACCOUNT, account.id, detail, "parent_account_id", account.id)
    circle.provenance.source_id = "v-2"
    with house.live.refused("INVALID_ARGUMENT", "PARENT_CYCLE"):
        await house.m1.suggestions.DecideSuggestion(decide(await engineer.suggestions.ProposeSuggestion(circle), rid))
    await house.m1.suggestions.DecideSuggestion(decide(proposed, rid))
    kept = await house.rep1.accounts.GetAccount(accounts_pb2.GetAccountRequest(id=account.id))
    assert kept.profile.address == "上海市浦东新区 1 号"
    with house.live.refused("NOT_FOUND", "SUGGESTION_NOT_FOUND"):
        await house.rep1.suggestions.GetSuggestion(pb.GetSuggestionRequest(id=account.id))


@pytest.mark.mission("S31", "S32")
@pytest.mark.parametrize(
    ("kind", "values", "state", "title"),
    [
        (mail_pb2.MAIL_FACT_KIND_LEFT_COMPANY, {}, contacts_pb2.CONTACT_STATE_LEFT, ""),
        (mail_pb2.MAIL_FACT_KIND_JOB_CHANGE, {}, contacts_pb2.CONTACT_STATE_JOB_CHANGED, ""),
        (mail_pb2.MAIL_FACT_KIND_JOB_CHANGE, {"company": "别家"}, contacts_pb2.CONTACT_STATE_JOB_CHANGED, ""),
        (mail_pb2.MAIL_FACT_KIND_JOB_CHANGE, {"title": "厂长"}, contacts_pb2.CONTACT_STATE_JOB_CHANGED, "厂长"),
    ],
)
async def test_what_a_job_change_says_decides_what_becomes_of_the_contact(
    house: House, rid: Any, kind: int, values: dict[str, str], state: int, title: str
) -> None:
    _, contact = await customer(house, rid)
    await mail(house, fact(kind, 0.9, "", **values))
    (suggestion,) = await listed(house)
    await house.rep1.suggestions.DecideSuggestion(decide(suggestion, rid))
    kept = await house.rep1.contacts.GetContact(contacts_pb2.GetContactRequest(id=contact.id))
    assert (kept.state, kept.profile.job_title) == (state, title)


@pytest.mark.parametrize(
    ("detail", "field"),
    [("139 0013 9000", "phones"), ("wei@new.example.cn", "email_addresses"), ("liwei_hd", "wechat_id")],
)
async def test_a_detail_is_known_by_its_looks(house: House, rid: Any, detail: str, field: str) -> None:
    await customer(house, rid)
    await mail(house, fact(mail_pb2.MAIL_FACT_KIND_CONTACT_DETAIL, detail=detail))
    (suggestion,) = await listed(house)
    assert [change.field for change in suggestion.changes] == [field]
