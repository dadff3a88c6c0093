"""How colleagues want to be told (U20)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from google.type.timeofday_pb2 import TimeOfDay

from closedloop.integrations.v1 import deliveries_pb2 as pb
from closedloop_chassis import errors, etags
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.enums import number, words
from closedloop_integrations.deliveries.rules import QuietHours, Wishes
from closedloop_integrations.settings import outside


@dataclass(frozen=True, slots=True)
class Preference:
    """The fields are the columns."""

    person_id: str
    channels: list[str]
    quiet_start: time | None
    quiet_end: time | None
    time_zone: str
    digest_times: list[time]
    muted_topics: list[str]
    version: int


COLUMNS = rows.listed(Preference, "p")
OF = f"SELECT {COLUMNS} FROM preference p WHERE person_id = ANY(%(people)s)"
LOCK = f"SELECT {COLUMNS} FROM preference p WHERE person_id = %(person)s FOR UPDATE"
ADD, CHANGE = rows.insert("preference", Preference), rows.update("preference", Preference, "person_id")
# Two who say it first at once.
FASTER = {"preference_pkey": errors.Aborted("ETAG_MISMATCH", "somebody was faster; read it again and repeat")}


async def of(read: Reader | Transaction, people: Iterable[str]) -> dict[str, Preference]:
    wanted = sorted({person for person in people if person})
    found = await read.all(OF, {"people": wanted}, into=Preference) if wanted else []
    return {each.person_id: each for each in found}


async def wishes(read: Reader | Transaction, people: Iterable[str]) -> dict[str, Wishes]:
    """Of those who have said something."""
    return {id: _wishes(each) for id, each in (await of(read, people)).items()}


async def change(tx: Transaction, after: pb.Preference, person_id: str) -> tuple[Preference | None, Preference]:
    """Before and after. Raises Aborted ETAG_MISMATCH, and what `said` raises."""
    before = await tx.one(LOCK, {"person": person_id}, into=Preference)
    if after.etag != (etags.of(before.version) if before else ""):
        raise errors.Aborted("ETAG_MISMATCH", "it was changed meanwhile, or there is none yet; read it again")
    kept = said(after, person_id, before.version + 1 if before else 1)
    tx.do(CHANGE if before else ADD, {"rows": rows.pack([kept])}, refuse=FASTER)
    return before, kept


def said(given: pb.Preference, person_id: str, version: int) -> Preference:
    """Raises FailedPrecondition CHANNEL_NOT_CONFIGURED, InvalidArgument TIME_ZONE_UNKNOWN, QUIET_HOURS_HALF,
    NOT_A_TIME_OF_DAY."""
    channels = list(dict.fromkeys(words(pb.Channel, given.channels)))
    if mute := [channel for channel in channels if not outside().speaks(channel)]:
        raise errors.FailedPrecondition("CHANNEL_NOT_CONFIGURED", f"no {mute[0]} is configured here")
    if given.HasField("quiet_start") != given.HasField("quiet_end"):
        raise errors.InvalidArgument(
            "QUIET_HOURS_HALF", "quiet hours begin and end", {"preference.quiet_end": "both or neither"}
        )
    if given.time_zone and not _is_zone(given.time_zone):
        raise errors.InvalidArgument(
            "TIME_ZONE_UNKNOWN", f"{given.time_zone} is no IANA time zone", {"preference.time_zone": "unknown"}
        )
    quiet = given.HasField("quiet_start")
    return Preference(
        person_id=person_id,
        channels=channels,
        quiet_start=_time(given.quiet_start, "quiet_start") if quiet else None,
        quiet_end=_time(given.quiet_end, "quiet_end") if quiet else None,
        time_zone=given.time_zone,
        digest_times=sorted({_time(each, "digest_times") for each in given.digest_times}),
        muted_topics=sorted(set(given.muted_topics)),
        version=version,
    )


def to_proto(kept: Preference | None, person_id: str) -> pb.Preference:
    """Of somebody who has said nothing it is empty."""
    if kept is None:
        return pb.Preference(person_id=person_id)
    message = pb.Preference(
        person_id=person_id,
        channels=[number(pb.Channel, channel) for channel in kept.channels],
        time_zone=kept.time_zone,
        digest_times=[_of_day(at) for at in kept.digest_times],
        muted_topics=kept.muted_topics,
        etag=etags.of(kept.version),
    )
    if kept.quiet_start is not None and kept.quiet_end is not None:
        message.quiet_start.CopyFrom(_of_day(kept.quiet_start))
        message.quiet_end.CopyFrom(_of_day(kept.quiet_end))
    return message


def trail(kept: Preference | None) -> dict[str, Any]:
    return {name: str(value) for name, value in rows.row(kept, "person_id", "version").items()} if kept else {}


def _wishes(kept: Preference) -> Wishes:
    quiet = None
    if kept.quiet_start is not None and kept.quiet_end is not None:
        quiet = QuietHours(start=kept.quiet_start, end=kept.quiet_end)
    return Wishes(tuple(kept.channels), quiet, kept.time_zone, tuple(kept.digest_times), frozenset(kept.muted_topics))


def _time(given: TimeOfDay, field: str) -> time:
    try:
        if given.nanos:
            raise ValueError("no fractions of a second")
        return time(given.hours, given.minutes, given.seconds)
    except ValueError as error:
        raise errors.InvalidArgument(
            "NOT_A_TIME_OF_DAY", "no time of day", {f"preference.{field}": str(error)}
        ) from error


def _of_day(at: time) -> TimeOfDay:
    return TimeOfDay(hours=at.hour, minutes=at.minute, seconds=at.second)


def _is_zone(name: str) -> bool:
    try:
        return bool(ZoneInfo(name).key)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
