"""Reminders as protobuf."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time

from google.type.timeofday_pb2 import TimeOfDay

from closedloop.customers.v1 import reminders_pb2 as pb
from closedloop_chassis import enums, errors, etags, protos
from closedloop_customers import provenance, records
from closedloop_customers.reminders.rules import Notice
from closedloop_customers.reminders.store import Owned


def to_proto(one: Owned, notices: Sequence[Notice]) -> pb.Reminder:
    return pb.Reminder(
        id=one.id,
        record=records.reference(one.record_type, one.record_id),
        ownership=records.ownership(one.owner_id, one.unit_id),
        title=one.title,
        agreed_date=protos.date_proto(one.agreed_on),
        agreed_time_of_day=_time_proto(one.agreed_at),
        time_zone=one.time_zone,
        state=enums.number(pb.ReminderState, one.state),
        notices=[
            pb.ReminderNotice(
                kind=enums.number(pb.ReminderNoticeKind, notice.kind),
                plan_time=protos.timestamp(notice.plan_at),
                send_time=protos.timestamp(notice.sent_at),
                skip_reason=notice.skip_reason,
            )
            for notice in sorted(notices, key=lambda notice: (notice.plan_at, notice.kind))
        ],
        provenance=provenance.to_proto(one.provenance),
        create_time=protos.timestamp(one.created_at),
        end_time=protos.timestamp(one.ended_at),
        etag=etags.of(one.version),
    )


def hour(message: TimeOfDay) -> time:
    """Raises InvalidArgument NOT_AN_HOUR."""
    try:
        return time(message.hours, message.minutes, message.seconds)
    except ValueError as error:
        raise errors.InvalidArgument(
            "NOT_AN_HOUR", "an hour of the day is 00:00 to 23:59", {"agreed_time_of_day": str(error)}
        ) from error


def _time_proto(at: time | None) -> TimeOfDay | None:
    return None if at is None else TimeOfDay(hours=at.hour, minutes=at.minute, seconds=at.second)
