"""Topics against their control group: "3 x" as a number with its doubt (S28)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from closedloop.customers.v1 import interactions_pb2
from closedloop.customers.v1 import wake_ups_pb2 as pb
from closedloop_chassis import enums, errors
from closedloop_chassis.work import Call
from closedloop_customers import explanations, records
from closedloop_customers.wake_ups import store
from closedloop_customers.wake_ups.rules import Arm, WakeUpRules, compared


async def measure(request: pb.GetTopicReportRequest, call: Call) -> pb.TopicReport:
    if request.unit_id and call.org.unit(request.unit_id) is None:
        raise errors.InvalidArgument("UNKNOWN_UNIT", f"no unit {request.unit_id}", {"unit_id": "unknown"})
    rules = call.rules(WakeUpRules)
    params = {
        **records.span(request.sent, call.now),
        **call.scope.params,
        "units": sorted(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "topics": list(request.topics) or None,
        "channel": enums.word(interactions_pb2.Channel, request.channel),
    }
    arms: dict[str, dict[bool, Arm]] = {}
    for row in await call.db.all(store.TOPICS, params):
        topic, control = row.pop("topic"), row.pop("control")
        arms.setdefault(topic, {})[control] = Arm(**row)
    why = f"opens per delivered message, against the plain words; at least {rules.least_messages} delivered in each arm"
    kept = explanations.because(call, WakeUpRules, "experiment", why)
    return pb.TopicReport(
        topics=[_result(topic, of.get(False, Arm()), of.get(True, Arm()), rules) for topic, of in sorted(arms.items())],
        rule=explanations.reference(kept),
    )


def _result(topic: str, treated: Arm, control: Arm, rules: WakeUpRules) -> pb.TopicResult:
    found = compared(treated, control, rules)
    title = rules.topics[topic].title if topic in rules.topics else topic
    return pb.TopicResult(topic=topic, title=title, treated=_counts(treated), control=_counts(control), **asdict(found))


def _counts(arm: Arm) -> pb.TopicCounts:
    counts: dict[str, Any] = asdict(arm)
    return pb.TopicCounts(**counts, open_ratio=arm.ratio(arm.opened), click_ratio=arm.ratio(arm.clicked))
