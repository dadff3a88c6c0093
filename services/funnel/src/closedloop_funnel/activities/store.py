"""Activities and daily logs in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from functools import cache
from typing import Any

from closedloop_chassis import errors
from closedloop_chassis.data import rows
from closedloop_chassis.data.transaction import Reader, Transaction
from closedloop_chassis.data.wire import Statement
from closedloop_chassis.work import Scope
from closedloop_funnel.activities.record import Activity, Around, DailyLog, Seen
from closedloop_funnel.pipelines import scope

# A planned one whose time has passed is missed (S57).
COLUMNS = rows.listed(Activity, "v").replace(
    "v.state", "CASE WHEN v.state = 'planned' AND v.planned_to <= %(now)s THEN 'missed' ELSE v.state END AS state"
)
SEEN = (
    f"SELECT {COLUMNS}, coalesce(a.name, '') AS account_name,"
    " ARRAY(SELECT f.id FROM finding f WHERE f.activity_id = v.id AND f.state <> 'dismissed' ORDER BY f.id) AS finding_ids"
    " FROM activity v LEFT JOIN account a ON a.id = v.account_id"
)

# What an activity may name, each in a subselect of its own: one statement for each choice of them, so that PostgreSQL
# plans it once; with unused parts held to NULL it would find every plan of its own cheaper, and make it at every call.
OPPORTUNITY = """
(SELECT jsonb_build_object('id', o.id, 'account_id', o.account_id, 'account_name', coalesce(a.name, ''),
                           'owner_id', o.owner_id, 'unit_id', o.unit_id, 'participant_ids', o.participant_ids,
                           'closed_at', o.closed_at)
   FROM opportunity o LEFT JOIN account a ON a.id = o.account_id WHERE o.id = %(opportunity)s::uuid)
"""
ACCOUNT = """
(SELECT jsonb_build_object('id', id, 'name', name, 'owner_id', account_owner_id, 'unit_id', account_unit_id,
                           'participant_ids', account_participant_ids)
   FROM account WHERE id = %(account)s::uuid)
"""
PLANNED = """
(SELECT to_jsonb(p)
   FROM (SELECT v.*, (SELECT name FROM account WHERE id = v.account_id) AS account_name
           FROM activity v WHERE id = %(planned)s::uuid FOR UPDATE OF v) p)
"""
AROUND = {"opportunity": OPPORTUNITY, "account": ACCOUNT, "planned": PLANNED}

# Fails the commit where a deal is no longer as it was known.
AS_KNOWN = """
SELECT presumed(EXISTS (
    SELECT FROM opportunity o LEFT JOIN account a ON a.id = o.account_id
     WHERE o.id = %(id)s AND o.owner_id = %(owner_id)s AND o.unit_id = %(unit_id)s
       AND o.participant_ids = %(participant_ids)s AND o.account_id IS NOT DISTINCT FROM %(account_id)s::uuid
       AND coalesce(a.name, '') = %(account_name)s AND o.closed_at IS NOT DISTINCT FROM %(closed_at)s::timestamptz))
"""

TOUCH = """
UPDATE opportunity SET last_activity_at = %(at)s
 WHERE id = %(id)s AND (last_activity_at IS NULL OR last_activity_at < %(at)s)
"""
TOUCH_AS_KNOWN = f"WITH touched AS ({TOUCH}) {AS_KNOWN}"
TOUCH_MANY_AS_KNOWN = """
WITH known AS (
    SELECT * FROM jsonb_to_recordset(%(known)s)
        AS k (id uuid, owner_id text, unit_id text, participant_ids text[], account_id uuid, account_name text,
              closed_at timestamptz, at timestamptz)
), touched AS (
    UPDATE opportunity o SET last_activity_at = k.at FROM known k
     WHERE o.id = k.id AND (o.last_activity_at IS NULL OR o.last_activity_at < k.at)
)
SELECT presumed(count(*) = %(count)s)
  FROM known k JOIN opportunity o ON o.id = k.id LEFT JOIN account a ON a.id = o.account_id
 WHERE o.owner_id = k.owner_id AND o.unit_id = k.unit_id AND o.participant_ids = k.participant_ids
   AND o.account_id IS NOT DISTINCT FROM k.account_id AND coalesce(a.name, '') = k.account_name
   AND o.closed_at IS NOT DISTINCT FROM k.closed_at
"""
# Two imports of one source at once wait for each other, or both would create.
ONE_AT_A_TIME = """
SELECT pg_advisory_xact_lock(hashtext('activity import'), hashtext(source))
  FROM unnest(%(sources)s::text[]) AS source
"""
IMPORTED = f"""
SELECT {rows.listed(Activity, "v")} FROM unnest(%(sources)s::text[], %(source_ids)s::text[]) AS g (gs, gid)
  JOIN activity v ON v.source = g.gs AND v.source_id = g.gid AND v.source_id <> '' ORDER BY v.id FOR UPDATE OF v
"""
DEALS_NAMED = """
SELECT o.id::text AS name, o.id, o.account_id, o.closed_at FROM opportunity o WHERE o.id = ANY(%(ids)s::uuid[])
UNION ALL
SELECT o.source || '/' || o.source_id, o.id, o.account_id, o.closed_at
  FROM unnest(%(sources)s::text[], %(source_ids)s::text[]) AS g (gs, gid)
  JOIN opportunity o ON o.source = g.gs AND o.source_id = g.gid AND o.source_id <> ''
"""
# History is no news to who watches.
KEEP_QUIET = "SELECT set_config('closedloop.import', 'on', true)"
TOUCH_MANY = """
UPDATE opportunity o SET last_activity_at = l.at
  FROM (SELECT id, max(at) AS at FROM unnest(%(ids)s::uuid[], %(ats)s::timestamptz[]) AS g (id, at) GROUP BY id) l
 WHERE o.id = l.id AND (o.last_activity_at IS NULL OR o.last_activity_at < l.at)
"""
UNCHECK = "UPDATE activity SET checked_at = NULL WHERE id = %(id)s"
KEEP_WORDING = """
INSERT INTO activity_amendment (activity_id, version, at, author_id, reason, earlier)
VALUES (%(activity_id)s, %(version)s, %(at)s, %(author_id)s, %(reason)s, %(earlier)s)
"""
AMENDED = "SELECT EXISTS (SELECT FROM activity_amendment WHERE activity_id = %(id)s)"
ATTACH_TALK = "UPDATE activity SET transcript_id = %(transcript)s, updated_at = %(now)s WHERE id = %(id)s"
DUPLICATE = {
    "activity_provenance_key": errors.AlreadyExists(
        "ACTIVITY_DUPLICATE", "an activity with this source and source_id is there already"
    )
}

GET = f"{SEEN} WHERE v.id = %(id)s"
LOCK = f"{GET} FOR UPDATE OF v"

# Whoever takes part in an activity, or may see its deal, sees it.
# Only where it is asked for, so that the partial index serves it.
OWN = "AND v.custom_fields <> '{}' AND v.custom_fields @@ %(custom_fields)s::jsonpath"
LIST = f"""
SELECT * FROM ({SEEN}) v
 WHERE ({Scope.SQL} OR %(scope_owner)s = ANY(participant_ids))
   AND (%(owner_id)s = '' OR owner_id = %(owner_id)s)
   AND (%(units)s::text[] IS NULL OR unit_id = ANY(%(units)s))
   AND (%(account_id)s::uuid IS NULL OR account_id = {scope.PART_OF.format("account_id")})
   AND (%(opportunity_id)s::uuid IS NULL OR opportunity_id = %(opportunity_id)s)
   AND (%(kinds)s::text[] IS NULL OR kind = ANY(%(kinds)s))
   AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
   AND (%(from)s::timestamptz IS NULL OR at >= %(from)s)
   AND (%(to)s::timestamptz IS NULL OR at < %(to)s)
   AND (%(authenticities)s::text[] IS NULL OR authenticity = ANY(%(authenticities)s))
   AND (%(source)s = '' OR source = %(source)s)
   AND (%(action_unit_key)s = '' OR action_unit_keys @> ARRAY[%(action_unit_key)s])
   AND (%(query)s = '' OR subject ILIKE %(query)s OR content ILIKE %(query)s)
   {{own}}
   AND (at < %(after)s::timestamptz OR (at = %(after)s::timestamptz AND id > %(after_id)s::uuid))
 ORDER BY at DESC, id
 LIMIT %(limit)s
"""

OF_DAY = f"""
{SEEN} WHERE v.owner_id = %(person_id)s AND v.at >= %(begins)s AND v.at < %(ends)s ORDER BY v.at, v.id LIMIT 1000
"""

OF_DAYS = f"""
{SEEN} WHERE v.owner_id = ANY(%(people)s) AND v.at >= %(begins)s AND v.at < %(ends)s ORDER BY v.at, v.id
"""
DAYS_CLOSED = """
SELECT day, person_id FROM daily_log WHERE person_id = ANY(%(people)s) AND day BETWEEN %(first)s AND %(last)s
"""
LOGS = f"""
SELECT {rows.listed(DailyLog, "d")} FROM daily_log d
  JOIN unnest(%(people)s::text[], %(days)s::date[]) AS k (person_id, day) USING (person_id, day)
"""

PUT_LOG = """
INSERT INTO daily_log (person_id, day, unit_id, summary, plan, help_needed, submitted_at)
VALUES (%(person_id)s, %(day)s, %(unit_id)s, %(summary)s, %(plan)s, %(help_needed)s, %(submitted_at)s)
ON CONFLICT (person_id, day) DO UPDATE
   SET unit_id = excluded.unit_id, summary = excluded.summary, plan = excluded.plan,
       help_needed = excluded.help_needed, submitted_at = excluded.submitted_at
"""
LOG = f"SELECT {rows.listed(DailyLog, 'd')} FROM daily_log d WHERE person_id = %(person_id)s AND day = %(day)s"


async def around(tx: Transaction, *, opportunity_id: str, account_id: str, planned_id: str = "") -> Around:
    """Everything an activity names, in one round trip; the planned one locked."""
    named = {"opportunity": opportunity_id, "account": account_id, "planned": planned_id}
    params = {name: id_ for name, id_ in named.items() if id_}
    if not params:
        return Around()
    found = await tx.one(_around(tuple(params)), params, into=Around)
    assert found is not None
    return found


def touch_as_known(tx: Transaction, known: Around, at: datetime) -> None:
    """Notes the contact on a deal that must still be as it is known here."""
    assert known.opportunity is not None
    deal = known.opportunity
    tx.write(_touching, {**deal, "at": at}, touches=[f"opportunity:{deal['id']}"])


def _touching(known: Sequence[dict[str, Any]]) -> Iterator[Statement]:
    if len(known) == 1:
        yield TOUCH_AS_KNOWN, known[0]
    else:
        yield TOUCH_MANY_AS_KNOWN, {"known": rows.pack(known), "count": len(known)}


@cache
def _around(named: tuple[str, ...]) -> str:
    return f"SELECT {', '.join(f'{AROUND[name]} AS {name}' for name in named)}"


def add(tx: Transaction, activity: Activity) -> None:
    tx.write(_adding, activity, refuse=DUPLICATE)


def _adding(activities: Sequence[Activity]) -> Iterator[Statement]:
    yield rows.added("activity", activities, Activity)


def save(tx: Transaction, activity: Activity) -> None:
    save_many(tx, [activity])


def one_import_at_a_time(tx: Transaction, sources: Sequence[str]) -> None:
    tx.do(ONE_AT_A_TIME, {"sources": list(sources)})


async def imported(
    tx: Transaction, sources: Sequence[str], source_ids: Sequence[str]
) -> dict[tuple[str, str], Activity]:
    """Those that came before, by provenance, locked."""
    params = {"sources": list(sources), "source_ids": list(source_ids)}
    return {(one.source, one.source_id): one for one in await tx.all(IMPORTED, params, into=Activity)}


async def deals_named(
    tx: Transaction, ids: Sequence[str], sources: Sequence[str], source_ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Deals by the name that rows give them: their id, or "source/source_id"."""
    if not ids and not sources:
        return {}
    params = {"ids": list(ids), "sources": list(sources), "source_ids": list(source_ids)}
    return {row["name"]: row for row in await tx.all(DEALS_NAMED, params)}


def keep_quiet(tx: Transaction) -> None:
    tx.do(KEEP_QUIET)


def add_many(tx: Transaction, activities: Sequence[Activity]) -> None:
    if activities:
        tx.do(*rows.added("activity", activities, Activity), refuse=DUPLICATE)


def save_many(tx: Transaction, activities: Sequence[Activity]) -> None:
    if activities:
        tx.do(*rows.saved("activity", activities, Activity))


def touch_many(tx: Transaction, activities: Sequence[Activity]) -> None:
    """Notes the contacts on their deals."""
    if activities:
        tx.do(TOUCH_MANY, {"ids": [one.opportunity_id for one in activities], "ats": [one.at for one in activities]})


def uncheck(tx: Transaction, activity_id: str) -> None:
    """Queues that it is looked at again."""
    tx.do(UNCHECK, {"id": activity_id})


def keep_wording(tx: Transaction, amendment: dict[str, Any]) -> None:
    tx.do(KEEP_WORDING, amendment)


def touch(tx: Transaction, opportunity_id: str, at: datetime) -> None:
    """Notes the contact on its deal."""
    tx.do(TOUCH, {"id": opportunity_id, "at": at})


async def get(db: Reader, activity_id: str, now: datetime) -> Seen:
    """Raises NotFound ACTIVITY_UNKNOWN."""
    return _there(await db.one(GET, {"id": activity_id, "now": now}, into=Seen), activity_id)


async def lock(tx: Transaction, activity_id: str, now: datetime) -> Seen:
    """Raises NotFound ACTIVITY_UNKNOWN."""
    return _there(await tx.one(LOCK, {"id": activity_id, "now": now}, into=Seen), activity_id)


def _there(found: Seen | None, activity_id: str) -> Seen:
    if found is None:
        raise errors.NotFound("ACTIVITY_UNKNOWN", f"no activity {activity_id}")
    return found


async def page(db: Reader, params: dict[str, Any]) -> list[Seen]:
    own = OWN if params["custom_fields"] is not None else ""
    return await db.all(LIST.replace("{own}", own), params, into=Seen)


async def of_day(
    db: Reader | Transaction, person_id: str, begins: datetime, ends: datetime, now: datetime
) -> list[Seen]:
    return await db.all(OF_DAY, {"person_id": person_id, "begins": begins, "ends": ends, "now": now}, into=Seen)


async def daily_log(db: Reader | Transaction, person_id: str, day: date) -> DailyLog | None:
    return await db.one(LOG, {"person_id": person_id, "day": day}, into=DailyLog)


async def of_days(db: Reader, people: list[str], begins: datetime, ends: datetime, now: datetime) -> list[Seen]:
    return await db.all(OF_DAYS, {"people": people, "begins": begins, "ends": ends, "now": now}, into=Seen)


async def days_closed(db: Reader, people: list[str], first: date, last: date) -> list[tuple[date, str]]:
    found = await db.all(DAYS_CLOSED, {"people": people, "first": first, "last": last})
    return [(row["day"], row["person_id"]) for row in found]


async def daily_logs(db: Reader, keys: Sequence[tuple[date, str]]) -> list[DailyLog]:
    if not keys:
        return []
    return await db.all(LOGS, {"people": [who for _, who in keys], "days": [day for day, _ in keys]}, into=DailyLog)


def put_log(tx: Transaction, log: DailyLog) -> None:
    tx.do(PUT_LOG, rows.row(log))
