"""Contracts between the contract and Python."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import contracts_pb2 as pb
from closedloop.funnel.v1 import events_pb2 as events
from closedloop_chassis import etags, protos
from closedloop_chassis.structs import struct
from closedloop_funnel.clearance import telling
from closedloop_funnel.contracts.record import Contract, Seen
from closedloop_funnel.words import number


def clauses(given: Iterable[pb.ContractClause]) -> list[dict[str, Any]]:
    return [{"key": c.key, "title": c.title, "text": c.text, "deviates": c.deviates} for c in given]


def write(contract: Seen) -> pb.Contract:
    return pb.Contract(
        id=contract.id,
        etag=etags.of(contract.revision),
        opportunity_id=contract.opportunity_id,
        quote_id=contract.quote_id or "",
        account_id=contract.deal["account_id"] or "",
        ownership=_ownership(contract),
        number=contract.number,
        title=contract.title,
        state=number(pb.ContractState, contract.state),
        amount=protos.money(contract.amount_minor, contract.currency),
        clauses=[pb.ContractClause(**clause) for clause in contract.clauses],
        effective_date=protos.date_proto(contract.effective_date),
        end_date=protos.date_proto(contract.end_date),
        sign_date=protos.date_proto(contract.sign_date),
        signer_name=contract.signer_name,
        archive_location=contract.archive_location,
        attachment_ids=contract.attachment_ids,
        approval=telling.status(contract),
        custom_fields=struct(contract.custom_fields),
        create_time=protos.timestamp(contract.created_at),
        update_time=protos.timestamp(contract.updated_at),
    )


def signed(contract: Seen) -> events.ContractSigned:
    """What the other services hear."""
    return events.ContractSigned(
        contract_id=contract.id,
        number=contract.number,
        opportunity_id=contract.opportunity_id,
        account_id=contract.deal["account_id"] or "",
        ownership=_ownership(contract),
        amount=protos.money(contract.amount_minor, contract.currency),
        sign_date=protos.date_proto(contract.sign_date),
        effective_date=protos.date_proto(contract.effective_date),
        end_date=protos.date_proto(contract.end_date),
    )


def _ownership(contract: Contract) -> common_pb2.Ownership:
    return common_pb2.Ownership(owner_id=contract.owner_id, unit_id=contract.unit_id)
