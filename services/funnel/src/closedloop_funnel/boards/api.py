"""BoardService: what is read every morning, computed when it is asked for (S43, S47, U1)."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from google.type.interval_pb2 import Interval

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import boards_pb2 as pb
from closedloop.funnel.v1 import pipelines_pb2
from closedloop_chassis import errors, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_funnel.boards import rules, store
from closedloop_funnel.boards.rules import BoardRules
from closedloop_funnel.pipelines import scope
from closedloop_funnel.pipelines.rules import PipelineRules
from closedloop_funnel.pipelines.stages import PipelineRule, StageRule
from closedloop_funnel.words import number, word

rpcs = Rpcs("closedloop.funnel.v1.BoardService")

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)


@rpcs.method
async def get_funnel_board(request: pb.GetFunnelBoardRequest, call: Call) -> pb.FunnelBoard:
    pipelines = call.rules(PipelineRules)
    about = pipelines_pb2.FunnelScope()
    about.CopyFrom(request.scope)
    about.pipeline_id = about.pipeline_id or pipelines.default
    pipeline = pipelines.pipeline(about.pipeline_id)
    begins, ends = _period(request.period, call)
    zone = call.home.zone(about.unit_id)
    params: dict[str, Any] = {
        **scope.params(about, call),
        "from": begins,
        "to": ends,
        "before": begins - (ends - begins),
        "first_day": begins.astimezone(zone).date(),
        "last_day": (ends - timedelta(microseconds=1)).astimezone(zone).date(),
    }
    grouping = word(pb.BoardGrouping, request.grouping)
    found = await store.funnel(call.db, grouping, request.view == pb.CONVERSION_VIEW_COHORT, params)
    writer = _Writer(pipeline, call)
    return pb.FunnelBoard(
        scope=about,
        period=Interval(start_time=protos.timestamp(begins), end_time=protos.timestamp(ends)),
        view=request.view or pb.CONVERSION_VIEW_FLOW,
        refresh_time=protos.timestamp(call.now),
        rows=writer.rows(found, grouping),
        pipeline_version=call.process.rulebooks.version(PipelineRules, call.now),
    )


@rpcs.method
async def get_forecast_board(request: pb.GetForecastBoardRequest, call: Call) -> pb.ForecastBoard:
    first, last = protos.day(request.from_date, "from_date"), protos.day(request.to_date, "to_date")
    if last < first:
        raise errors.InvalidArgument(
            "DATES_REVERSED", "the last day is before the first", {"to_date": "before from_date"}
        )
    grouping = word(pb.BoardGrouping, request.grouping)
    params = {**scope.params(request.scope, call), "first_day": first, "last_day": last}
    currency = call.home.currency
    totals: dict[str, list[pb.CategoryTotal]] = defaultdict(list)
    for row in await store.forecast(call.db, grouping, params):
        amount = protos.money(row["amount_minor"], currency)
        total = pb.CategoryTotal(
            category=number(pipelines_pb2.ForecastCategory, row["category"]),
            count=row["deals"],
            amount=amount,
            weighted_amount=protos.money(row["weighted_minor"], currency),
            overridden_count=row["managed"],
            overridden_amount=protos.money(row["managed_minor"], currency),
            pushed_count=row["pushed"],
        )
        totals[row["group_key"]].append(total)
    return pb.ForecastBoard(
        scope=request.scope,
        from_date=request.from_date,
        to_date=request.to_date,
        refresh_time=protos.timestamp(call.now),
        rows=[
            pb.ForecastBoardRow(group_key=key, group_name=_group_name(key, grouping, call), categories=categories)
            for key, categories in totals.items()
        ],
        currency_code=currency,
    )


def _period(period: Interval, call: Call) -> tuple[datetime, datetime]:
    """This month so far when absent. Raises InvalidArgument TIMES_REVERSED or PERIOD_OUT_OF_RANGE."""
    ends = protos.instant(period.end_time, "period.end_time") if period.HasField("end_time") else call.now
    if period.HasField("start_time"):
        begins = protos.instant(period.start_time, "period.start_time")
    else:
        local = ends.astimezone(call.home.zone())
        begins = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if ends <= begins:
        raise errors.InvalidArgument("TIMES_REVERSED", "the period ends before it begins", {"period": "reversed"})
    # The board looks back by one more period.
    if begins - EARLIEST < ends - begins:
        raise errors.InvalidArgument("PERIOD_OUT_OF_RANGE", "no board reaches that far", {"period": "out of range"})
    return begins, ends


def _group_name(key: str, grouping: str, call: Call) -> str:
    if grouping == "unit":
        unit = call.org.unit(key)
        return unit.name if unit else key
    if grouping == "owner":
        person = call.org.person(key)
        return person.name if person else key
    return key


class _Writer:
    """Puts flows, stock and ends of one pipeline together, stage by stage."""

    def __init__(self, pipeline: PipelineRule, call: Call) -> None:
        self._pipeline = pipeline
        self._call = call
        self._rules = call.rules(BoardRules)
        self._version = call.process.rulebooks.version(BoardRules, call.now)
        self._currency = call.home.currency

    def rows(self, found: store.Funnel, grouping: str) -> list[pb.FunnelBoardRow]:
        flows = {(row["group_key"], row["stage_key"], row["period"]): row for row in found.flows}
        stock = {(row["group_key"], row["stage_key"]): row for row in found.stock}
        ends = {row["group_key"]: row for row in found.ends}
        groups = sorted({key[0] for key in (*flows, *stock)} | set(ends))
        left_over = sorted({key[1] for key in stock} - {stage.key for stage in self._pipeline.stages})
        stages = [stage for stage in self._pipeline.stages if stage.kind == "open"]
        stages += [self._pipeline.stage(key) for key in left_over]
        return [self._row(group, grouping, stages, flows, stock, ends.get(group, {})) for group in groups]

    def _row(
        self,
        group: str,
        grouping: str,
        stages: list[StageRule],
        flows: dict[tuple[str, str, int], dict[str, Any]],
        stock: dict[tuple[str, str], dict[str, Any]],
        ends: dict[str, Any],
    ) -> pb.FunnelBoardRow:
        everything = sum(row["open"] for (key, _), row in stock.items() if key == group)
        won, lost = ends.get("won", 0), ends.get("lost", 0)
        return pb.FunnelBoardRow(
            group_key=group,
            group_name=_group_name(group, grouping, self._call),
            stages=[
                self._stage(
                    stage,
                    flows.get((group, stage.key, 0), {}),
                    flows.get((group, stage.key, 1), {}),
                    stock.get((group, stage.key), {}),
                    everything,
                )
                for stage in stages
            ],
            won_count=won,
            lost_count=lost,
            won_amount=protos.money(int(ends.get("won_minor", 0)), self._currency),
            win_ratio=rules.ratio(won, won + lost),
            cycle_days=ends.get("cycle_days"),
        )

    def _stage(
        self, stage: StageRule, now: dict[str, Any], earlier: dict[str, Any], stock: dict[str, Any], everything: int
    ) -> pb.StageHealth:
        standing, overdue = stock.get("open", 0), stock.get("overdue", 0)
        share = rules.ratio(standing, everything) or 0.0
        mean_days = now.get("mean_days")
        color, rule, why = rules.light(
            self._rules, stage, mean_days=mean_days, open_count=standing, overdue=overdue, share=share
        )
        return pb.StageHealth(
            stage_key=stage.key,
            stage_name=stage.name,
            open_count=standing,
            open_amount=protos.money(int(stock.get("amount_minor", 0)), self._currency),
            entered_count=now.get("entered", 0),
            advanced_count=now.get("advanced", 0),
            lost_count=now.get("lost", 0),
            conversion_ratio=rules.ratio(now.get("advanced", 0), now.get("entered", 0)),
            previous_conversion_ratio=rules.ratio(earlier.get("advanced", 0), earlier.get("entered", 0)),
            mean_dwell_days=mean_days,
            median_dwell_days=now.get("median_days"),
            p90_dwell_days=now.get("p90_days"),
            previous_mean_dwell_days=earlier.get("mean_days"),
            overdue_count=overdue,
            open_share_ratio=share,
            light=number(common_pb2.Light, color),
            rule=common_pb2.RuleReference(
                rulebook=BoardRules.rulebook, version=self._version, rule=rule, explanation=why
            ),
        )
