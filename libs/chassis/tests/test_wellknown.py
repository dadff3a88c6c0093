"""Moments, spans and structures that can be sent and not kept are found where they come in, by their path."""

from __future__ import annotations

import math

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from closedloop.approvals.v1 import tasks_pb2
from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import accounts_pb2, leads_pb2
from closedloop.platform.v1 import platform_pb2
from closedloop_chassis import bulk, wellknown

JSON = f"must be of finite numbers and at most {wellknown.DEEPEST} levels deep"


def found(message: Message) -> dict[str, str]:
    is_sound = wellknown.check(message.DESCRIPTOR)
    assert is_sound is not None
    faults = wellknown.faults(message)
    assert is_sound(message) is not bool(faults)
    return faults


def deep(levels: int) -> Struct:
    made = Struct()
    inner = made
    for _ in range(levels):
        inner = inner.get_or_create_struct("x")
    return made


@pytest.mark.parametrize(
    ("moment", "fine"),
    [
        (Timestamp(), True),
        (Timestamp(seconds=253402300799, nanos=999_999_999), True),
        (Timestamp(seconds=253402300800), False),
        (Timestamp(seconds=-(2**63)), False),
        (Timestamp(nanos=-1), False),
        (Timestamp(nanos=1_000_000_000), False),
    ],
)
def test_moments(moment: Timestamp, fine: bool) -> None:
    assert (found(Provenance(observed_time=moment)) == {}) is fine


def test_spans() -> None:
    path = {"content.check_window": "is no span of at most 10,000 years"}
    for span in (Duration(seconds=2**63 - 1), Duration(nanos=2**31 - 1), Duration(seconds=1, nanos=-1)):
        content = tasks_pb2.TaskContent(check_window=span)
        assert found(tasks_pb2.RaiseTaskRequest(content=content)) == path
    assert found(tasks_pb2.TaskContent(check_window=Duration(seconds=-5, nanos=-1))) == {}


def test_numbers_of_a_structure_wherever_they_stand() -> None:
    request = leads_pb2.IntakeLeadRequest()
    request.profile.custom_fields.update({"fine": 1.5, "list": [1, {"odd": math.nan}], "far": -math.inf})
    request.provenance.observed_time.nanos = -1
    assert found(request) == {
        "profile.custom_fields": JSON,
        "provenance.observed_time": "is no moment of the years 1 to 9999",
    }


def test_depth() -> None:
    assert found(platform_pb2.PublishRulebookRequest(body=deep(wellknown.DEEPEST - 1))) == {}
    assert found(platform_pb2.PublishRulebookRequest(body=deep(wellknown.DEEPEST))) == {"body": JSON}


def test_types_without_any_of_it_cost_nothing() -> None:
    assert wellknown.check(platform_pb2.GetEventBacklogRequest.DESCRIPTOR) is None


def test_a_bulk_row_is_refused_alone() -> None:
    """The edge leaves the rows to their slice, which sifts them."""
    good, odd = accounts_pb2.AccountRow(), accounts_pb2.AccountRow()
    for row in (good, odd):
        row.provenance.source, row.provenance.source_id, row.profile.name = "crm", "1", "Yunshu"
    odd.provenance.observed_time.seconds = 2**62
    assert found(accounts_pb2.BulkUpsertAccountsRequest(rows=[odd])) == {}
    rows, refused = bulk.sift([good, odd])
    assert [position for position, _ in rows] == [0], refused
    assert [(one.row, one.reason, one.field) for one in refused] == [(1, "ROW_INVALID", "provenance.observed_time")]
