"""One row of another system as a deal of ours: names resolved, dates checked, its way through the stages kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any

from closedloop.funnel.v1 import opportunities_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.ids import new_id
from closedloop_chassis.structs import plain
from closedloop_funnel.custom_fields.rules import FunnelFieldRules
from closedloop_funnel.opportunities import proto, worth
from closedloop_funnel.opportunities.known import Known
from closedloop_funnel.opportunities.record import DateChange, Line, Move, Opportunity, Seen
from closedloop_funnel.opportunities.rules import check_dates, check_happened, check_past, pushed_days
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.pipelines.stages import PipelineRule, StageRule
from closedloop_funnel.words import word

# The stages a deal passed, the present one last: (stage, entered at).
Way = list[tuple[StageRule, datetime]]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A resolved row; `before` is the deal it was last time."""

    row: int
    before: Seen | None
    deal: Seen
    stage: StageRule
    moves: list[Move] = field(default_factory=list)
    date_changes: list[DateChange] = field(default_factory=list)


def digest(row: pb.OpportunityRow) -> str:
    return hashlib.sha256(row.SerializeToString(deterministic=True)).hexdigest()


class Desk:
    """Resolves rows against what is known here. Everything it raises is an error of that row alone."""

    def __init__(self, known: Known, pipelines: PipelineRules, version: int, fields: FunnelFieldRules) -> None:
        self._known = known
        self._pipelines = pipelines
        self._version = version
        self._fields = fields

    def resolve(self, position: int, row: pb.OpportunityRow, before: Seen | None) -> Incoming:
        owner_id, unit_id = self._known.owner(row.owner)
        account = self._known.account(row.account)
        product_id = self._known.product(row.product)
        pipeline_id = row.pipeline_id or (before.pipeline_id if before else self._pipelines.imports)
        pipeline = self._pipelines.pipeline(pipeline_id)
        stage = _stage(pipeline, row.stage, "stage")
        state = _state(row, stage)
        days = _Days.of(row)
        today = self._known.home.today(unit_id)
        check_past(days.engaged, today, "engage_date")
        check_past(days.closed, today, "close_date")
        check_happened(_instant(row, "create_time"), self._known.now, "create_time")
        for i, visit in enumerate(row.stage_history):
            check_happened(protos.instant(visit.enter_time), self._known.now, f"stage_history.{i}.enter_time")
        check_dates(days.engaged, days.closed)
        reason = self._reason(pipeline, state, row)
        values = plain(row.custom_fields)
        self._fields.check("opportunity", values)
        lines, amount, currency = self._worth(row, product_id)
        at_home = self._known.home.zone(unit_id)
        opened_at = self._opened(row, days, at_home)
        way = _way(pipeline, row, stage, state, _entered(days, at_home, opened_at))
        closed_at = datetime.combine(days.closed, time(), at_home) if state != "open" and days.closed else None
        name = row.name or " · ".join(filter(None, (account.name, row.product))) or row.provenance.source_id
        deal = Seen(
            id=before.id if before else new_id(),
            version=before.version + 1 if before else 1,
            name=name[:200],
            need=before.need if before else "",
            owner_id=owner_id,
            unit_id=unit_id,
            source=row.provenance.source,
            source_id=row.provenance.source_id,
            brought_by=self._known.actor,
            observed_at=_instant(row.provenance, "observed_time") or self._known.now,
            imported=True,
            import_digest=digest(row),
            pipeline_id=pipeline_id,
            pipeline_version=self._version,
            stage_key=stage.key,
            state=state,
            closed_from=way[-2][0].key if state != "open" and len(way) > 1 else "",
            account_id=account.id or None,
            account_name=account.name,
            lines=[{**line, "amount_minor": worth.line_amount(line)} for line in lines],
            product_ids=sorted({line["product_id"] for line in lines}),
            amount_minor=amount,
            currency=currency,
            reporting_minor=self._known.rates.convert(amount, currency, days.closed or days.expected or today),
            reporting_currency=self._known.rates.into,
            probability=stage.probability,
            category=stage.category,
            engage_date=days.engaged,
            expected_close_date=days.expected,
            close_date=days.closed if state != "open" else None,
            reason_code=reason,
            reason_comment=row.reason_comment,
            competitors=list(row.competitors),
            move_count=len(way),
            stage_entered_at=way[-1][1],
            repurchase=account.bought,
            customer_type=row.customer_type or account.customer_type,
            margin_ratio=row.margin_ratio if row.HasField("margin_ratio") else None,
            custom_fields=values,
            created_at=opened_at,
            updated_at=self._known.now,
            closed_at=closed_at,
        )
        if before is not None:
            return self._again(position, before, deal, stage)
        return Incoming(position, None, deal, stage, self._moves(deal, way))

    def _again(self, position: int, before: Seen, deal: Seen, stage: StageRule) -> Incoming:
        """A known deal that says something new: what only we know of it stays.

        Raises FailedPrecondition DEAL_WORKED_HERE: steps of a deal that was opened here take their evidence (S40).
        """
        moved = (before.stage_key, before.state) != (deal.stage_key, deal.state)
        if (moved or before.pipeline_id != deal.pipeline_id) and not before.imported:
            raise errors.FailedPrecondition(
                "DEAL_WORKED_HERE",
                f"it was opened here and is in {before.stage_key}; advance or close it, or import that stage",
            )
        pushed = pushed_days(before.expected_close_date, deal.expected_close_date)
        deal = replace(
            deal,
            imported=before.imported,
            created_at=before.created_at,
            participants=before.participants,
            participant_ids=before.participant_ids,
            push_count=before.push_count + (pushed > 0),
            pushed_days=before.pushed_days + pushed,
            move_count=before.move_count + moved,
            stage_entered_at=self._known.now if moved and deal.state == "open" else deal.stage_entered_at,
            dwell_due_at=None if moved else before.dwell_due_at,
            dwell_light="none" if moved else before.dwell_light,
            review_id=before.review_id,
            override=before.override,
            lead_id=before.lead_id,
            opportunity_point_id=before.opportunity_point_id,
            margin_ratio=before.margin_ratio if deal.margin_ratio is None else deal.margin_ratio,
            margin_version=before.margin_version,
            last_activity_at=before.last_activity_at,
            closed_from=before.stage_key if moved and deal.state != "open" else deal.closed_from or before.closed_from,
        )
        changes = []
        if before.expected_close_date != deal.expected_close_date:
            changes.append(
                DateChange(
                    opportunity_id=deal.id,
                    at=self._known.now,
                    from_date=before.expected_close_date,
                    to_date=deal.expected_close_date,
                    author_id=self._known.actor,
                )
            )
        moves = [self._move(deal, before.stage_key, deal.stage_key, self._known.now, deal.move_count)] if moved else []
        return Incoming(position, before, deal, stage, moves, changes)

    def _opened(self, row: pb.OpportunityRow, days: _Days, at_home: Any) -> datetime:
        said = _instant(row, "create_time")
        day = days.engaged or days.closed
        return said or (datetime.combine(day, time(), at_home) if day else self._known.now)

    def _reason(self, pipeline: PipelineRule, state: str, row: pb.OpportunityRow) -> str:
        if state == "open":
            return ""
        code = row.reason_code or "unknown"
        if row.reason_code and pipeline.reason(state, code) is None:
            raise errors.InvalidArgument(
                "REASON_UNKNOWN", f"{pipeline.name} has no reason {code}", {"reason_code": code}
            )
        return code

    def _worth(self, row: pb.OpportunityRow, product_id: str) -> tuple[list[Line], int | None, str]:
        lines = [proto.line_from_proto(line, f"lines.{i}") for i, line in enumerate(row.lines)]
        for line in lines:
            line["product_id"] = self._known.product(line["product_id"])
        amount = protos.minor_units(row.value, "value") if row.HasField("value") else None
        currency = worth.one_currency(lines, row.value.currency_code)
        if product_id and not lines:
            only: Line = {"product_id": product_id, "quantity": 1.0, "unit_price_minor": None}
            lines = [{**only, "amount_minor": amount, "currency": currency}]
        if amount is None:
            amount, _ = worth.total(lines)
        return lines, amount, currency

    def _moves(self, deal: Seen, way: Way) -> list[Move]:
        moves = [self._move(deal, "", way[0][0].key, way[0][1], 1)]
        for sequence, ((left, entered), (to, at)) in enumerate(pairwise(way), start=2):
            days = self._known.dwell_days(entered, left.calendar, deal.unit_id, at)
            moves.append(self._move(deal, left.key, to.key, at, sequence, at - entered, days))
        return moves

    def _move(
        self,
        deal: Opportunity,
        left: str,
        to: str,
        at: datetime,
        sequence: int,
        dwell: timedelta | None = None,
        dwell_days: float | None = None,
    ) -> Move:
        pipeline = self._pipelines.pipelines[deal.pipeline_id]
        order = [stage.key for stage in pipeline.stages]
        direction = pipeline.stage(to).kind
        if direction == "open":
            backward = left in order and order.index(to) < order.index(left)
            direction_word = "opened" if not left else "backward" if backward else "forward"
        else:
            direction_word = str(direction)
        return Move(
            opportunity_id=deal.id,
            sequence=sequence,
            from_stage_key=left,
            to_stage_key=to,
            at=at,
            author_id=self._known.actor,
            direction=direction_word,
            dwell=dwell,
            dwell_days=dwell_days,
            pipeline_id=deal.pipeline_id,
            pipeline_version=self._version,
            imported=True,
        )


@dataclass(frozen=True, slots=True)
class _Days:
    engaged: date | None
    expected: date | None
    closed: date | None

    @staticmethod
    def of(row: pb.OpportunityRow) -> _Days:
        found = {
            name: protos.day(getattr(row, name), name) if row.HasField(name) else None
            for name in ("engage_date", "expected_close_date", "close_date")
        }
        return _Days(found["engage_date"], found["expected_close_date"], found["close_date"])


def _stage(pipeline: PipelineRule, words: str, name: str) -> StageRule:
    stage = pipeline.called(words)
    if stage is None:
        there = ", ".join(stage.name for stage in pipeline.stages)
        raise errors.InvalidArgument(
            "STAGE_UNKNOWN", f"{pipeline.name} has no stage {words}; there are {there}", {name: words}
        )
    return stage


def _state(row: pb.OpportunityRow, stage: StageRule) -> str:
    """What the stage says; where it says nothing (open, archived), what the row says."""
    said = word(pb.OpportunityState, row.state)
    state = stage.kind if stage.kind in ("won", "lost") else said or "open"
    if (said and said != state) or (stage.kind == "open" and state != "open"):
        raise errors.InvalidArgument("STATE_CONTRADICTS_STAGE", f"{said} in stage {stage.name}", {"state": said})
    if state != "open" and not row.HasField("close_date"):
        raise errors.InvalidArgument(
            "CLOSE_DATE_REQUIRED", f"a {state} deal has a close date", {"close_date": "missing"}
        )
    return state


def _entered(days: _Days, at_home: Any, opened_at: datetime) -> datetime:
    """When it entered its present stage, as far as the row tells: when it closed, or when it was opened."""
    return datetime.combine(days.closed, time(), at_home) if days.closed else opened_at


def _way(pipeline: PipelineRule, row: pb.OpportunityRow, stage: StageRule, state: str, entered: datetime) -> Way:
    way = [
        (_stage(pipeline, visit.stage, f"stage_history.{i}.stage"), protos.instant(visit.enter_time))
        for i, visit in enumerate(row.stage_history)
    ]
    if any(later[1] < earlier[1] for earlier, later in pairwise(way)):
        raise errors.InvalidArgument(
            "HISTORY_OUT_OF_ORDER", "stages are listed oldest first", {"stage_history": "order"}
        )
    if not way or way[-1][0].key != stage.key:
        if way and state != "open":
            entered = max(entered, way[-1][1])
        elif way:
            raise errors.InvalidArgument(
                "HISTORY_OUT_OF_ORDER",
                f"an open deal stands where its history ends, not in {stage.name}",
                {"stage": stage.name},
            )
        way.append((stage, entered))
    return way


def _instant(message: Any, name: str) -> datetime | None:
    return protos.instant(getattr(message, name), name) if message.HasField(name) else None
