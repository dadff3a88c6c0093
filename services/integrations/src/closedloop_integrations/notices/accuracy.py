"""NoticeService.GetMatchAccuracy: the matcher, held against what people said of its matches (S70)."""

from __future__ import annotations

from closedloop.integrations.v1 import notices_pb2 as pb
from closedloop_chassis import protos
from closedloop_chassis.work import Call
from closedloop_integrations.notices import store
from closedloop_integrations.notices.importing import rpcs as rpcs
from closedloop_integrations.notices.rules import CONFIDENCE, METHOD, ProcurementRules, wilson


@rpcs.method
async def get_match_accuracy(request: pb.GetMatchAccuracyRequest, call: Call) -> pb.GetMatchAccuracyResponse:
    """Found means told: a doubtful match that a person confirms was missed, as was a customer only a person named."""
    rules, period = call.rules(ProcurementRules), request.period
    asked = {
        "begin": protos.instant(period.start_time, "period") if period.HasField("start_time") else None,
        "end": protos.instant(period.end_time, "period") if period.HasField("end_time") else None,
        "source": request.source,
        "tell_from": rules.tell_from,
    }
    counts = await store.reviewed(call.db, asked)
    hits, wrong, missed = counts["true_positives"], counts["false_positives"], counts["false_negatives"]
    response = pb.GetMatchAccuracyResponse(
        reviewed=counts["reviewed"],
        true_positives=hits,
        false_positives=wrong,
        false_negatives=missed,
        precision_sample_size=hits + wrong,
        recall_sample_size=hits + missed,
    )
    if counts["reviewed"] < rules.accuracy_from:
        return response
    response.confidence_ratio, response.method = CONFIDENCE, METHOD
    if hits + wrong:
        response.precision = hits / (hits + wrong)
        response.precision_low, response.precision_high = wilson(hits, hits + wrong)
    if hits + missed:
        response.recall = hits / (hits + missed)
        response.recall_low, response.recall_high = wilson(hits, hits + missed)
    return response
