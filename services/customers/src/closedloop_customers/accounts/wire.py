"""Accounts as protobuf."""

from __future__ import annotations

from closedloop.common.v1.common_pb2 import Light
from closedloop.customers.v1 import accounts_pb2 as pb
from closedloop.customers.v1 import events_pb2 as events
from closedloop_chassis import enums, etags, protos
from closedloop_customers import profiles, provenance, records
from closedloop_customers.accounts.rules import Account


def to_proto(account: Account) -> pb.Account:
    return pb.Account(
        id=account.id,
        profile=profiles.fill(pb.AccountProfile, account.profile),
        status=enums.number(pb.AccountStatus, account.status),
        ownership=records.ownership(account.owner_id, account.unit_id),
        participant_ids=account.participant_ids,
        grade=account.grade,
        quality_light=enums.number(Light, account.quality_light),
        high_potential=account.high_potential,
        provenances=[provenance.to_proto(kept) for kept in account.provenances],
        last_interaction_time=protos.timestamp(account.last_interaction_at),
        last_verify_time=protos.timestamp(account.last_verify_at),
        merged_into_id=account.merged_into_id or "",
        create_time=protos.timestamp(account.created_at),
        update_time=protos.timestamp(account.updated_at),
        version=account.version,
        etag=etags.of(account.version),
    )


def changed(account: Account) -> events.AccountChanged:
    profile = account.profile
    return events.AccountChanged(
        account_id=account.id,
        name=profile["name"],
        legal_name=profile.get("legal_name", ""),
        aliases=profile.get("aliases", ()),
        credit_code=profile.get("credit_code", ""),
        domains=profile.get("domains", ()),
        industry=profile.get("industry", ""),
        customer_type=profile.get("customer_type", ""),
        region_code=profile.get("region_code", ""),
        time_zone=profile.get("time_zone", ""),
        product_lines=profile.get("product_lines", ()),
        status=enums.number(pb.AccountStatus, account.status),
        grade=account.grade,
        high_potential=account.high_potential,
        quality_light=enums.number(Light, account.quality_light),
        ownership=records.ownership(account.owner_id, account.unit_id),
        participant_ids=account.participant_ids,
        parent_account_id=profile.get("parent_account_id", ""),
        provenances=[provenance.to_proto(kept) for kept in account.provenances],
        merged_into_id=account.merged_into_id or "",
        version=account.version,
    )
