"""What people hold of accounts and what became of them: labels, outcomes, and how often a method was right (S39)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from google.protobuf.message import Message

from closedloop.common.v1.common_pb2 import BulkSummary, RowError
from closedloop.customers.v1 import potential_pb2 as pb
from closedloop_chassis import bulk, enums, errors, protos
from closedloop_chassis.data import rows
from closedloop_chassis.work import Call
from closedloop_customers import explanations, provenance, records, scoring
from closedloop_customers.potential import store
from closedloop_customers.potential.rules import PotentialRules

METHODS = ("by_hand", "without_tenders", "computed")


async def label(request: pb.LabelPotentialsRequest, call: Call) -> BulkSummary:
    good, refused = bulk.sift(request.labels)
    standing = await records.find(call.tx, {("account", row.account_id) for _, row in good})
    kept = []
    for position, row in good:
        try:
            at = _when(call, row, "label_time")
            by = _labeller(call, row)
            account = _within_reach(call, standing.get(("account", row.account_id)), row.account_id)
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
            continue
        kept.append(
            {"account_id": account.id, "labelled_by": by, "labelled_at": at, "high": row.high, "reason": row.reason}
        )
    return await _write(call, store.PUT_LABELS, kept, refused, len(request.labels), request.validate_only)


async def outcomes(request: pb.BulkRecordOutcomesRequest, call: Call) -> BulkSummary:
    good, refused = bulk.sift(request.outcomes)
    standing = await records.find(call.tx, {("account", row.account_id) for _, row in good})
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    for position, row in good:
        source = provenance.keep(row.provenance, call.actor, call.now)
        try:
            at = _when(call, row, "outcome_time")
            account = _within_reach(call, standing.get(("account", row.account_id)), row.account_id)
            if not source["source_id"]:
                raise errors.InvalidArgument("SOURCE_ID_MISSING", "an outcome is found again by it")
            amount = row.amount if row.amount.currency_code else None
            minor = protos.minor_units(amount, "amount") if amount else None
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
            continue
        if (source["source"], source["source_id"]) in kept:
            again = errors.InvalidArgument("ROW_REPEATED", "another row of this call has the same provenance")
            refused.append(bulk.refused(position, again, "provenance.source_id"))
            continue
        kept[source["source"], source["source_id"]] = {
            "source": source["source"],
            "source_id": source["source_id"],
            "account_id": account.id,
            "kind": enums.word(pb.OutcomeKind, row.kind),
            "amount_minor": minor,
            "currency": amount.currency_code if amount else "",
            "happened_at": at,
            "provenance": source,
        }
    whole = len(request.outcomes)
    return await _write(call, store.PUT_OUTCOMES, list(kept.values()), refused, whole, request.validate_only)


async def accuracy(request: pb.GetPotentialAccuracyRequest, call: Call) -> pb.PotentialAccuracy:
    rules = call.rules(PotentialRules)
    params = {
        **call.scope.params,
        **records.span(request.interval, call.now),
        "units": sorted(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "good": sorted(rules.good_outcomes),
        "won": "won" in rules.good_outcomes,
    }
    found = await call.db.all(store.FORETOLD, params)
    wanted = enums.words(pb.PotentialMethod, request.methods) or METHODS
    methods = []
    for method in sorted(set(wanted), key=METHODS.index):
        verdicts = _verdicts(method, found, rules)
        measured = scoring.accuracy(verdicts, rules.least_outcomes, ordered=method != "by_hand")
        methods.append(pb.MethodAccuracy(method=enums.number(pb.PotentialMethod, method), accuracy=measured))
    why = f"好结果：{'、'.join(sorted(rules.good_outcomes))}；高潜力：{rules.bar:g} 分及以上"
    rule = explanations.because(call, PotentialRules, "good_outcomes", why)
    return pb.PotentialAccuracy(methods=methods, rule=explanations.reference(rule))


def _verdicts(method: str, found: list[dict[str, Any]], rules: PotentialRules) -> list[scoring.Foretold]:
    if method == "by_hand":
        return [
            scoring.Foretold(float(row["high"]), row["high"], row["good"]) for row in found if row["high"] is not None
        ]
    name = "score" if method == "computed" else "without_tenders"
    return [
        scoring.Foretold(row[name], row[name] >= rules.bar, row["good"]) for row in found if row["score"] is not None
    ]


def _when(call: Call, row: Message, field: str) -> datetime:
    if not row.HasField(field):
        return call.now
    at = protos.instant(getattr(row, field), field)
    if at > call.now:
        raise errors.InvalidArgument("TIME_IN_FUTURE", "what is known has happened", {field: "in the future"})
    return at


def _labeller(call: Call, row: pb.PotentialLabel) -> str:
    """People speak for themselves; whoever brings a file says whose verdicts they are."""
    if row.labelled_by and row.labelled_by != call.caller.subject and not call.scope.company:
        raise errors.PermissionDenied("OUT_OF_SCOPE", f"{call.caller.subject} does not speak for {row.labelled_by}")
    return row.labelled_by or call.caller.subject


def _within_reach(call: Call, found: records.Standing | None, asked: str) -> records.Standing:
    if found is None:
        raise errors.NotFound("ACCOUNT_NOT_FOUND", f"no account {asked}")
    call.authorize(found.owner_id, found.unit_id, found.participant_ids)
    return found


async def _write(
    call: Call, sql: str, kept: list[dict[str, Any]], refused: list[RowError], read: int, dry: bool
) -> BulkSummary:
    put = await call.tx.all(sql, {"rows": rows.pack(kept)}) if kept else []
    fresh = sum(row["fresh"] for row in put)
    summary = bulk.summary(read=read, created=fresh, updated=len(put) - fresh, refused=refused)
    if dry:
        await call.tx.rollback()
    return summary
