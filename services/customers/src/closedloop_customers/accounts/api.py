"""AccountService."""

from __future__ import annotations

from dataclasses import replace

from closedloop.common.v1.common_pb2 import BulkSummary, Light
from closedloop.customers.v1 import accounts_pb2 as pb
from closedloop_chassis import enums, errors, etags, pages, protos, structs
from closedloop_chassis.data import patterns
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_customers import business_actions, profiles, provenance, records
from closedloop_customers.accounts import bulk, desk, rules, store, wire
from closedloop_customers.accounts.rules import Account
from closedloop_customers.assignment import desk as assignment
from closedloop_customers.custom_fields import FieldRules
from closedloop_customers.grades import desk as grades
from closedloop_customers.territories import desk as territories
from closedloop_customers.wake_ups import silence

rpcs = Rpcs("closedloop.customers.v1.AccountService")

LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
FIRST_ID = "00000000-0000-0000-0000-000000000000"
BESIDES_PROFILE = frozenset({"status", "participant_ids"})


@rpcs.method
async def get_account(request: pb.GetAccountRequest, call: Call) -> pb.Account:
    if request.WhichOneof("key") == "id":
        account = await store.get(call.db, request.id)
    else:
        account = await store.get_by_source(call.db, request.provenance.source, request.provenance.source_id)
    return wire.to_proto(_seen(call, account, request.id or request.provenance.source_id))


@rpcs.method
async def list_accounts(request: pb.ListAccountsRequest, call: Call) -> pb.ListAccountsResponse:
    order = enums.word(pb.AccountOrder, request.order)
    after_key, after_id = pages.after(request, store.ORDERS[order][1], FIRST_ID)
    params = {
        **records.filters(request, call),
        "words": [patterns.containing(word) for word in request.query.lower().split()] or ["%"],
        "territory": await territories.spec(call, request.territory_id),
        "industries": list(request.industries) or None,
        "region_codes": list(request.region_codes) or None,
        "grades": list(request.grades) or None,
        "statuses": enums.words(pb.AccountStatus, request.statuses) or None,
        "lights": [enums.word(Light, n) for n in range(request.minimum_light, 5)]
        if request.minimum_light > 1
        else None,
        "high": request.high_potential if request.HasField("high_potential") else None,
        "parent": request.parent_account_id or None,
        "silent_since": protos.instant(request.silent_since_time) if request.HasField("silent_since_time") else None,
        "updated_since": protos.instant(request.updated_since_time) if request.HasField("updated_since_time") else None,
        "source": request.source,
        "custom_fields": call.rules(FieldRules).path(
            "account", structs.plain(request.custom_fields), request.custom_field_ranges
        ),
        "after_key": after_key,
        "after_id": after_id,
        "limit": pages.size(request) + 1,
    }
    found = await store.page(call.db, order, params)
    page, token = pages.split(found, request, lambda row: (row[1], row[0].id))
    return pb.ListAccountsResponse(accounts=[wire.to_proto(account) for account, _ in page], next_page_token=token)


@rpcs.method
async def create_account(request: pb.CreateAccountRequest, call: Call) -> pb.Account:
    owner_id = request.owner_id or call.caller.subject
    unit_id = records.person_unit(call, owner_id)
    call.authorize(owner_id, unit_id)
    for person in request.participant_ids:
        records.person_unit(call, person, "participant_ids")
    profile = desk.checked(call, profiles.read(request.profile))
    source = provenance.by_hand(call, request.provenance)
    await desk.refuse_twins(call, profile, desk.keys_of(call, profile), request.not_duplicate_reason)
    account = await desk.hung(call, desk.made(call, profile, owner_id, unit_id, source, request.participant_ids))
    await assignment.check_account_limit(call, owner_id)
    desk.create(call, [account], business_actions.text("creation", note=request.not_duplicate_reason))
    method = "brought" if owner_id == call.caller.subject else "manual"
    assignment.hold(
        call,
        "account",
        [(account.id, owner_id, unit_id)],
        method,
        "whoever makes an account owns it or names its owner",
    )
    return wire.to_proto(account)


@rpcs.method
async def update_account(request: pb.UpdateAccountRequest, call: Call) -> pb.Account:
    if "parent_account_id" in request.update_mask.paths:
        desk.hold_tree(call)
    old = (await store.lock(call.tx, [request.id])).get(request.id)
    if old is None:
        raise errors.NotFound("ACCOUNT_NOT_FOUND", f"no account {request.id}")
    records.may_change(call, old.owner_id, old.unit_id, old.participant_ids)
    if old.merged_into_id:
        raise errors.FailedPrecondition(
            "ACCOUNT_MERGED", f"it is part of {old.merged_into_id} now", account_id=old.merged_into_id
        )
    etags.check(request.etag, old.version)
    paths = set(request.update_mask.paths)
    profile = profiles.masked(old.profile, profiles.read(request.profile), paths - BESIDES_PROFILE, pb.AccountProfile)
    if not profile.get("name"):
        raise errors.InvalidArgument("NAME_MISSING", "an account has a name", {"profile.name": "value is required"})
    new = replace(old, profile=desk.checked(call, profile, old.profile))
    if "participant_ids" in paths:
        for person in request.participant_ids:
            records.person_unit(call, person, "participant_ids")
        new = replace(new, participant_ids=list(request.participant_ids))
    if "status" in paths:
        by_business = rules.status_by_deals(
            await store.last_won(call.tx, old.id), call.now.date(), call.rules(rules.AccountRules)
        )
        wanted = enums.word(pb.AccountStatus, request.status)
        new = replace(new, status=rules.requested_status(old.status, wanted, by_business))
    fresh = set(desk.keys_of(call, new.profile)) - set(desk.keys_of(call, old.profile))
    if fresh:
        await desk.refuse_twins(call, new.profile, fresh, own_id=old.id)
    if new.profile.get("parent_account_id") != old.profile.get("parent_account_id"):
        new = await desk.hung(call, new)
    action = business_actions.cited(call, request.business_action, "confirm" if new == old else "change")
    if new == old:
        # Nothing else to write down than that somebody looked and found it right.
        new = replace(new, last_verify_at=call.now)
        seen = {f"verified.{name}": call.now for name in call.rules(rules.AccountRules).key_fields}
        call.audit(old.id, "verify", {}, seen, action)
    (after,) = desk.change(call, [(old, new)], action)
    if after.status == "retired" != old.status:
        silence.forget(call, after.id)
    elif old.status == "retired" != after.status:
        silence.watch(call, "account", [(after.id, after.owner_id, after.unit_id)])
    if await grades.followed(call, [(old, after)]):
        after = await desk.read(call.tx, after.id)
    return wire.to_proto(after)


@rpcs.method
async def bulk_upsert_accounts(request: pb.BulkUpsertAccountsRequest, call: Call) -> BulkSummary:
    return await bulk.upsert(request, call)


@rpcs.method
async def list_account_changes(request: pb.ListAccountChangesRequest, call: Call) -> pb.ListAccountChangesResponse:
    account = _seen(call, await store.get(call.db, request.account_id), request.account_id)
    people = [row["id"] for row in await call.db.all(store.PEOPLE_OF, {"account_id": account.id})]
    subjects = (
        [p for p in people if p == request.contact_id]
        if request.contact_id
        else [account.id, request.account_id, *people]
    )
    before_id, before_field = pages.after(request, LAST_ID, "\U0010ffff")
    begins, ends = protos.bounds(request.interval)
    params = {
        "account_id": account.id,
        "subjects": subjects,
        "field_prefix": patterns.beginning(request.field_prefix),
        "actor_id": request.actor_id,
        "start": begins,
        "end": ends,
        "before_id": before_id,
        "before_field": before_field,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(store.CHANGES, params)
    page, token = pages.split(found, request, lambda row: (row["id"], row["field"]))
    changes = [
        pb.FieldChange(
            record=records.reference("contact" if row["subject"] in people else "account", row["subject"]),
            field=row["field"],
            before=profiles.to_value(row["before"]),
            after=profiles.to_value(row["after"]),
            actor_id=row["actor_id"],
            on_behalf_of=row["on_behalf_of"],
            time=protos.timestamp(row["time"]),
            business_action=business_actions.to_proto(row["business_action"]),
        )
        for row in page
    ]
    return pb.ListAccountChangesResponse(changes=changes, next_page_token=token)


def _seen(call: Call, account: Account | None, asked: str) -> Account:
    if account is None:
        raise errors.NotFound("ACCOUNT_NOT_FOUND", f"no account {asked}")
    call.authorize(account.owner_id, account.unit_id, account.participant_ids)
    return account
