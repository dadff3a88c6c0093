"""RateService: dated exchange rates (U16)."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from psycopg.types.json import Jsonb

from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop.targets.v1 import events_pb2
from closedloop.targets.v1 import rates_pb2 as pb
from closedloop_chassis import bulk, enums, errors, pages, protos, provenance
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call
from closedloop_targets import amounts
from closedloop_targets.actuals import restating
from closedloop_targets.book import rates
from closedloop_targets.book.rates import Rate
from closedloop_targets.rates.rules import RateRules

rpcs = Rpcs("closedloop.targets.v1.RateService")

EPOCH = date(2000, 1, 1)
# A rate holds until the next one of its pair and kind.
LIST = """
SELECT base, quote, kind, start_date, rate, provenance
  FROM (SELECT rate.*, lead(start_date) OVER (PARTITION BY base, quote, kind ORDER BY start_date) AS next_date
          FROM rate) AS r
 WHERE %(base)s IN ('', base) AND %(quote)s IN ('', quote) AND %(kind)s IN ('', kind)
   AND start_date <= coalesce(%(until)s::date, 'infinity')
   AND coalesce(next_date, 'infinity') > coalesce(%(since)s::date, '-infinity')
   AND (-(start_date - '2000-01-01'::date), base, quote, kind) > (%(key)s::int, %(key_base)s, %(key_quote)s, %(key_kind)s)
 ORDER BY start_date DESC, base, quote, kind LIMIT %(limit)s
"""
LOCK = "SELECT pg_advisory_xact_lock(hashtext('targets.rates'))"
KNOWN = """
SELECT r.base, r.quote, r.kind, r.start_date, r.rate, r.provenance
  FROM unnest(%(bases)s::text[], %(quotes)s::text[], %(kinds)s::text[], %(days)s::date[]) AS given (base, quote, kind, start_date)
  JOIN rate r USING (base, quote, kind, start_date)
"""
PUT = """
INSERT INTO rate (base, quote, kind, start_date, rate, provenance)
SELECT base, quote, kind, start_date, rate, provenance
  FROM unnest(%(bases)s::text[], %(quotes)s::text[], %(kinds)s::text[], %(days)s::date[], %(rates)s::numeric[],
              %(provenances)s::jsonb[]) AS given (base, quote, kind, start_date, rate, provenance)
ON CONFLICT (base, quote, kind, start_date) DO UPDATE SET rate = excluded.rate, provenance = excluded.provenance
"""


@rpcs.method
async def list_rates(request: pb.ListRatesRequest, call: Call) -> pb.ListRatesResponse:
    key, base, quote, kind = pages.after(request, -(2**31), "", "", "")
    params = {
        "base": request.base_currency,
        "quote": request.quote_currency,
        "kind": enums.word(pb.RateKind, request.kind),
        "since": protos.day(request.from_date, "from_date") if request.HasField("from_date") else None,
        "until": protos.day(request.to_date, "to_date") if request.HasField("to_date") else None,
        "key": key,
        "key_base": base,
        "key_quote": quote,
        "key_kind": kind,
        "limit": pages.size(request) + 1,
    }
    rows = await call.db.all(LIST, params, into=Rate)
    page, token = pages.split(
        rows, request, lambda row: (-(row.start_date - EPOCH).days, row.base, row.quote, row.kind)
    )
    return pb.ListRatesResponse(rates=[to_proto(row) for row in page], next_page_token=token)


@rpcs.method
async def import_rates(request: pb.ImportRatesRequest, call: Call) -> BulkSummary:
    good, refused = bulk.sift(request.rates)
    read: list[Rate] = []
    seen: set[tuple[Any, ...]] = set()
    for position, given in good:
        try:
            rate = _read(call, given)
            if _key(rate) in seen:
                raise errors.InvalidArgument("ROW_REPEATED", f"{rate.base}/{rate.quote} of {rate.start_date} twice")
            seen.add(_key(rate))
            read.append(rate)
        except errors.DomainError as error:
            refused.append(bulk.refused(position, error))
    call.tx.do(LOCK, {})
    known = {_key(one): one for one in await call.tx.all(KNOWN, _columns(read), into=Rate)}
    new = [one for one in read if _key(one) not in known]
    changed = [one for one in read if _key(one) in known and known[_key(one)].rate != one.rate]
    told = [*new, *changed]
    if told and not request.validate_only:
        await _keep(call, told, known)
    return bulk.summary(read=len(request.rates), created=len(new), updated=len(changed), refused=refused)


@rpcs.method
async def convert_money(request: pb.ConvertMoneyRequest, call: Call) -> pb.ConvertMoneyResponse:
    day = protos.day(request.date, "date") if request.HasField("date") else call.home.today()
    kind = enums.word(pb.RateKind, request.kind) or "spot"
    known = await rates.held(call.db, call.home.currency, [day], kind)
    source, target = request.amount.currency_code, request.currency_code
    minor = known.convert(protos.minor_units(request.amount), source, target, day)
    way = known.way(source, target, day) or []
    return pb.ConvertMoneyResponse(amount=protos.money(minor, target), rates=[to_proto(step.rate) for step in way])


def to_proto(row: Rate) -> pb.ExchangeRate:
    return pb.ExchangeRate(
        base_currency=row.base,
        quote_currency=row.quote,
        kind=enums.number(pb.RateKind, row.kind),
        start_date=protos.date_proto(row.start_date),
        rate=amounts.decimal(row.rate),
        provenance=provenance.to_proto(row.provenance),
    )


async def _keep(call: Call, told: list[Rate], known: dict[tuple[Any, ...], Rate]) -> None:
    """Writes and tells rates, and restates actuals of the days they change."""
    call.tx.do(
        PUT,
        {
            **_columns(told),
            "rates": [one.rate for one in told],
            "provenances": [Jsonb(one.provenance) for one in told],
        },
    )
    by_pair: dict[str, list[Rate]] = {}
    for one in told:
        by_pair.setdefault(f"{one.base}/{one.quote}:{one.kind}", []).append(one)
    for subject, of_pair in sorted(by_pair.items()):
        call.tell(events_pb2.ExchangeRateChanged(rates=[to_proto(one) for one in of_pair]), subject=subject)
    spot = [one for one in told if one.kind == "spot" and one.start_date <= call.home.today()]
    restated = 0
    if spot:
        currencies = {code for one in spot for code in (one.base, one.quote)}
        restated = await restating.by_rates(call, currencies, min(one.start_date for one in spot))
    for subject, of_pair in sorted(by_pair.items()):
        call.audit(
            f"rate:{subject}",
            "import",
            before={str(one.start_date): known[_key(one)].rate for one in of_pair if _key(one) in known},
            after={str(one.start_date): one.rate for one in of_pair} | {"actuals_restated": restated},
        )


def _read(call: Call, given: pb.ExchangeRate) -> Rate:
    rate = Decimal(given.rate.value)
    call.rules(RateRules).check(given.base_currency, given.quote_currency, rate)
    return Rate(
        base=given.base_currency,
        quote=given.quote_currency,
        kind=enums.word(pb.RateKind, given.kind),
        start_date=protos.day(given.start_date, "start_date"),
        rate=rate,
        provenance=provenance.keep(given.provenance, call.actor),
    )


def _key(rate: Rate) -> tuple[Any, ...]:
    return (rate.base, rate.quote, rate.kind, rate.start_date)


def _columns(found: list[Rate]) -> dict[str, Any]:
    return {
        "bases": [one.base for one in found],
        "quotes": [one.quote for one in found],
        "kinds": [one.kind for one in found],
        "days": [one.start_date for one in found],
    }
