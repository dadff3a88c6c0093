"""A pilot begins: what is tried where, against whom, and how it was before (S101)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from google.protobuf import json_format

from closedloop.funnel.v1 import pilots_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.work import Call
from closedloop_funnel.clustered import Values
from closedloop_funnel.measures.measuring import Stretch
from closedloop_funnel.pilots import measuring, store
from closedloop_funnel.pilots.rules import PilotRules
from closedloop_funnel.pilots.store import Pilot
from closedloop_funnel.pilots.subjects import Subject, subjects

DAY = timedelta(days=1)


async def started(request: pb.CreatePilotRequest, call: Call) -> Pilot:
    """Raises InvalidArgument for what is not there or does not fit, FailedPrecondition UNIT_IN_ANOTHER_PILOT, TOO_LITTLE_DATA."""
    chosen = _chosen(request.bottleneck_keys, call)
    touched, compared = (
        _units(request.unit_ids, "unit_ids", call),
        _units(request.comparison_unit_ids, "comparison_unit_ids", call),
    )
    if touched & compared:
        raise errors.InvalidArgument(
            "UNITS_OVERLAP", "nobody is compared with himself", {"comparison_unit_ids": "within those of the pilot"}
        )
    first, last = _days(request, call)
    baseline = _baseline(request, first, last, call)
    # Two that begin at once could each take the other's units.
    await call.tx.value(store.ONE_AT_A_TIME)
    taken = await call.tx.one(store.TAKEN, {"touched": sorted(touched), "compared": sorted(compared)})
    if taken is not None:
        raise errors.FailedPrecondition(
            "UNIT_IN_ANOTHER_PILOT", f"{taken['name']} runs there, or is compared with it", pilot_id=taken["id"]
        )
    own = await measuring.of_units(call.tx, call, chosen, baseline, touched)
    others = await measuring.of_units(call.tx, call, chosen, baseline, compared)
    named = [json_format.MessageToDict(_bottleneck(one, own[one.key], call)) for one in chosen]
    return Pilot(
        id=new_id(),
        name=request.name,
        owner_id=call.caller.subject,
        unit_id=request.unit_ids[0],
        bottlenecks=named,
        measures=request.measures,
        unit_ids=list(dict.fromkeys(request.unit_ids)),
        comparison_unit_ids=list(dict.fromkeys(request.comparison_unit_ids)),
        touched=sorted(touched),
        compared=sorted(compared),
        start_date=first,
        end_date=last,
        baseline_from=baseline[0],
        baseline_to=baseline[1],
        baseline={one.key: {"pilot": own[one.key], "comparison": others[one.key]} for one in chosen},
        created_at=call.now,
    )


def _chosen(keys: Sequence[str], call: Call) -> list[Subject]:
    known, most = subjects(call), call.rules(PilotRules).most_bottlenecks
    asked = list(dict.fromkeys(keys))
    strange = [key for key in asked if key not in known]
    if strange:
        raise errors.InvalidArgument("BOTTLENECK_UNKNOWN", f"nothing is {strange[0]}", {"bottleneck_keys": "unknown"})
    if len(asked) > most:
        raise errors.InvalidArgument("TOO_MANY_BOTTLENECKS", f"{most} at the most", {"bottleneck_keys": "too many"})
    return [known[key] for key in asked]


def _units(ids: Iterable[str], field: str, call: Call) -> set[str]:
    """At and below them."""
    found: set[str] = set()
    for unit_id in ids:
        if call.org.unit(unit_id) is None:
            raise errors.InvalidArgument("UNIT_UNKNOWN", f"no unit {unit_id}", {field: "unknown"})
        call.authorize("", unit_id)
        found |= call.org.subtree(unit_id)
    return found


def _days(request: pb.CreatePilotRequest, call: Call) -> tuple[date, date]:
    """First and last day."""
    judged_by, first = call.rules(PilotRules), protos.day(request.start_date, "start_date")
    last = protos.day_of(request, "end_date") or first + timedelta(days=judged_by.days - 1)
    if last < first:
        raise errors.InvalidArgument("DATES_REVERSED", "it ends before it begins", {"end_date": "before start_date"})
    until_then = (first - call.home.today()) / DAY
    if not -judged_by.late_days <= until_then <= judged_by.ahead_days:
        said = f"from {judged_by.late_days} days ago to {judged_by.ahead_days} days ahead"
        raise errors.InvalidArgument("START_OUT_OF_RANGE", said, {"start_date": said})
    if (last - first) / DAY + 1 > judged_by.most_days:
        said = f"{judged_by.most_days} days at the most"
        raise errors.InvalidArgument("PILOT_TOO_LONG", said, {"end_date": said})
    return first, last


def _baseline(request: pb.CreatePilotRequest, first: date, last: date, call: Call) -> Stretch:
    """As long before, up to now at the latest: what is frozen has happened."""
    ends = min(call.home.moment(first), call.now)
    if not request.HasField("baseline_period"):
        return ends - (last - first + DAY), ends
    given = protos.bounds(request.baseline_period)
    if given[0] is None or given[1] is None or given[1] <= given[0]:
        raise errors.InvalidArgument(
            "TIMES_REVERSED", "it takes a beginning and an end after it", {"baseline_period": "reversed"}
        )
    if given[1] > ends:
        raise errors.InvalidArgument(
            "BASELINE_NOT_OVER", "it ends before the pilot begins, and before now", {"baseline_period": "not over"}
        )
    return given[0], given[1]


def _bottleneck(subject: Subject, by_owner: Values, call: Call) -> pb.Bottleneck:
    judged_by = call.rules(PilotRules)
    told, cases = measuring.estimate(subject, by_owner, judged_by), sum(map(len, by_owner.values()))
    if not told.HasField("value"):
        raise errors.FailedPrecondition(
            "TOO_LITTLE_DATA",
            f"{subject.key}: {cases} cases before; it takes {judged_by.least_cases}",
            bottleneck_key=subject.key,
            cases=cases,
        )
    return pb.Bottleneck(
        key=subject.key,
        name=subject.name,
        metric_key=subject.metric_key,
        value=told,
        healthy=subject.healthy,
    )
