"""Walks the search lists of the procurement site, politely, and reads what it has not seen. Runs in the courier.

What was read lately is looked at again once a day or so, with the calls a turn has left: its list may say nothing of a correction.

One poll per search. A walk goes from the first page to the last; where it is interrupted (told to slow down, out of
calls, site away) the next turn goes on at the same page. A list that has not changed costs one conditional request, and so
does a notice of which the list says something else while its page is what it was. Each notice is observed once per content.
A notice that cannot be had holds up nobody: it is tried again, after those that were not tried yet, for so many turns as the
rulebook says, and then set aside; at once where trying again is pointless.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import NAMESPACE_URL, uuid5

from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis import protos
from closedloop_chassis.courier.desk import Desk
from closedloop_integrations.notices.rules import ProcurementRules
from closedloop_integrations.outbound import (
    Answer,
    Outbound,
    OutsideError,
    SlowDownError,
    TooLargeError,
    UnaskableError,
)
from closedloop_integrations.polling import Turn, fairly, in_force, turn
from closedloop_integrations.procurement.mending import CHINA
from closedloop_integrations.procurement.site import ListPage, NoticeRow, decode, parse_list
from closedloop_integrations.settings import outside

SOURCE = "procurement"
LONGEST_VALIDATOR = 500

SEEN = "SELECT url, row_digest, content, etag, last_modified FROM fetched_page WHERE url = ANY(%(urls)s)"
KEEP = """
INSERT INTO fetched_page (url, source, etag, last_modified, row_digest, fetched_at, published_at, content)
VALUES (%(url)s, %(source)s, %(etag)s, %(last_modified)s, %(row_digest)s, %(now)s, %(published)s, %(content)s)
ON CONFLICT (url) DO UPDATE
   SET etag = excluded.etag, last_modified = excluded.last_modified, row_digest = excluded.row_digest,
       fetched_at = excluded.fetched_at, published_at = excluded.published_at, content = excluded.content
"""
UNCHANGED = "UPDATE fetched_page SET row_digest = %(row_digest)s, fetched_at = %(now)s WHERE url = %(url)s"
FORGET = """
DELETE FROM fetched_page
 WHERE source = %(source)s AND fetched_at < %(since)s AND (published_at IS NULL OR published_at < %(recent)s)
"""
# Those nobody has looked at for the longest time come first.
AGAIN = """
SELECT url, row_digest, etag, last_modified, published_at, content FROM fetched_page
 WHERE source = %(source)s AND published_at >= %(recent)s AND fetched_at < %(stale)s ORDER BY fetched_at, url LIMIT %(limit)s
"""
LOOKED_AT = "UPDATE fetched_page SET fetched_at = %(now)s WHERE url = %(url)s"


def poll(desk: Desk) -> None:
    url = outside().procurement_url
    with desk.connection() as connection:
        rules = in_force(connection, ProcurementRules, desk.now())
    by_name = {words or "all": words for words in (rules.searches if url else rules.searches[:1])}
    for name in fairly(SOURCE, list(by_name)):
        words = by_name[name]
        with turn(desk, SOURCE, name, configured=bool(url)) as mine:
            if mine is not None:
                limits = mine.rules
                with Outbound(url, limits.timeout_seconds, limits.max_bytes, also=rules.hosts) as client:
                    Walk(desk, client, mine, rules, url.rstrip("/"), words).run()


class Rest:
    """Between two calls, whichever search they belong to: to the site they are one caller's."""

    def __init__(self) -> None:
        self._since = 0.0

    def begin(self) -> None:
        self._since = time.monotonic()

    def wait(self, seconds: float) -> None:
        time.sleep(max(self._since + seconds - time.monotonic(), 0))


_rested = Rest()


@dataclass(frozen=True, slots=True)
class Page:
    """A notice's page: what the list says of it, as a digest and when it was published, and the digest of what it last said."""

    url: str
    title: str
    row_digest: str
    published: datetime | None = None
    content: str = ""


class Walk:
    """One turn of one search. The cursor: `since` the day searched from, `page` the address to go on at, `etag` and `modified` of
    the first page as the last whole walk saw it, `newest` the newest day seen, `tries` how often what could not be had was asked
    for in vain, by address."""

    def __init__(
        self, desk: Desk, client: Outbound, mine: Turn, rules: ProcurementRules, base: str, words: str
    ) -> None:
        self._desk, self._client, self._turn, self._rules = desk, client, mine, rules
        self._base, self._words = base, words
        self._calls = 0
        # Notices had in this turn, and pages lost in a row.
        self._had, self._lost = 0, 0

    def run(self) -> None:
        cursor = self._turn.cursor
        page = cursor.get("page") or self._first_page()
        while page:
            fresh = not cursor.get("page")
            headers = conditions(cursor.get("etag", ""), cursor.get("modified", "")) if fresh else {}
            with self._beginning_anew(page, fresh=fresh):
                answer = self._get(page, headers)
                if answer is None:
                    cursor["page"] = page
                    self._turn.unfinished = True
                    return
                if answer.status == 304:
                    break
                if answer.status != 200:
                    raise OutsideError(f"the list answers {answer.status}")
                html = decode(answer.content, answer.headers.get("content-type", ""))
                listed = parse_list(html, page, self._rules.pages)
                self._refuse_broken(listed, page)
            if fresh:
                cursor["first_etag"], cursor["first_modified"] = validators(answer)
            cursor["page"] = page
            if not self._read(listed.rows):
                return
            page = cursor["page"] = listed.next_url
        else:
            self._whole()
        self._look_again()

    def _first_page(self) -> str:
        since = self._turn.cursor.get("since")
        if not since:
            today = self._turn.now.astimezone(CHINA).date()
            since = self._turn.cursor["since"] = (today - timedelta(days=self._rules.look_back_days)).isoformat()
        return f"{self._base}/search?{urlencode({'kw': self._words, 'page': 1, 'since': since})}"

    def _whole(self) -> None:
        cursor = self._turn.cursor
        since = cursor["since"]
        if cursor.get("newest"):
            newest = date.fromisoformat(cursor["newest"]) - timedelta(days=self._rules.overlap_days)
            since = max(since, newest.isoformat())
        # Another window is another list, whose tag we have not seen.
        same = since == cursor["since"]
        for name in ("etag", "modified"):
            seen = cursor.pop(f"first_{name}", "")
            cursor[name] = seen if same else ""
        cursor["since"], cursor["page"] = since, ""
        cursor.pop("tries", None)
        # What was read before that day is listed no more.
        with self._desk.connection() as connection:
            recent = self._turn.now - timedelta(days=self._rules.recheck_days)
            connection.execute(FORGET, {"source": SOURCE, "since": date.fromisoformat(since), "recent": recent})

    def _look_again(self) -> None:
        """At notices of the last days, with the calls that are left. Raises OutsideError where nothing of the site can be had."""
        now, rules = self._turn.now, self._rules
        asked = {
            "source": SOURCE,
            "recent": now - timedelta(days=rules.recheck_days),
            "stale": now - timedelta(hours=rules.recheck_hours),
            "limit": max(self._turn.rules.max_requests - self._calls, 0) if rules.recheck_days else 0,
        }
        with self._desk.connection() as connection:
            found = connection.execute(AGAIN, asked).fetchall()
        for url, digest, etag, modified, published, content in found:
            page = Page(url, "", digest, published, content)
            try:
                answer = self._get(url, conditions(etag, modified))
            except SlowDownError:
                raise
            except OutsideError:
                # It stands as it was, and is asked for again in its time.
                with self._desk.connection() as connection:
                    connection.execute(LOOKED_AT, {"url": url, "now": self._desk.now()})
                self._lost += 1
                if self._lost >= rules.pages_lost:
                    raise
                continue
            if answer is None:
                return
            self._lost = 0
            self._observe(page, answer)

    @contextmanager
    def _beginning_anew(self, page: str, *, fresh: bool) -> Iterator[None]:
        """A page in the middle of the list that can never be had is not gone on at for ever: the walk begins anew, and what
        is new stands on its first page."""
        try:
            yield
        except SlowDownError:
            raise
        except OutsideError as error:
            if not fresh and (isinstance(error, UnaskableError) or self._tried(page) >= self._rules.page_tries):
                self._forgive(page)
                self._turn.cursor["page"] = ""
            raise
        self._forgive(page)

    def _read(self, rows: tuple[NoticeRow, ...]) -> bool:
        """False where this turn leaves rows to the next one. Raises OutsideError where nothing of the site can be had."""
        with self._desk.connection() as connection:
            found = connection.execute(SEEN, {"urls": [row.url for row in rows]}).fetchall()
        seen = {url: (digest, content, conditions(*validators)) for url, digest, content, *validators in found}
        tries = self._turn.cursor.get("tries", {})
        owed: OutsideError | None = None
        # Those that failed before wait until the others were asked for.
        for row in sorted(rows, key=lambda row: tries.get(row.url, 0)):
            digest = hashlib.sha256(repr((row.title, row.buyer, row.published)).encode()).hexdigest()
            known, content, when = seen.get(row.url, ("", "", {}))
            if known != digest:
                try:
                    answer = self._get(row.url, when)
                except (UnaskableError, TooLargeError) as error:
                    self._give_up(row, digest, error)
                except OutsideError as error:
                    if not self._lose(row, digest, error):
                        owed = error
                    if isinstance(error, SlowDownError) or self._lost >= self._rules.pages_lost:
                        raise
                    continue
                else:
                    if answer is None:
                        self._turn.unfinished = True
                        return False
                    self._observe(Page(row.url, row.title, digest, row.published, content), answer)
                    self._forgive(row.url)
                    self._had, self._lost = self._had + 1, 0
            # A date to come is a slip of the site's: searched from the year 2099 on, nothing would ever be new.
            published = min(row.published, self._turn.now)
            self._turn.newest = max(filter(None, (self._turn.newest, published)))
            day = published.astimezone(CHINA).date().isoformat()
            self._turn.cursor["newest"] = max(self._turn.cursor.get("newest", ""), day)
        if owed is not None and not self._had:
            raise owed
        return owed is None

    def _lose(self, row: NoticeRow, digest: str, error: OutsideError) -> bool:
        """True where it was the last try. Being asked to wait is not the page's fault, unless it alone says so: with 503, as
        what nobody mends does, and before anything else was had."""
        if isinstance(error, SlowDownError) and (self._had or not error.away):
            return False
        self._lost += 1
        last = self._tried(row.url) >= self._rules.page_tries
        if last:
            self._give_up(row, digest, error)
        return last

    def _give_up(self, row: NoticeRow, digest: str, error: OutsideError) -> None:
        reason = {UnaskableError: "PAGE_ELSEWHERE", TooLargeError: "PAGE_TOO_LARGE"}.get(
            type(error), "PAGE_UNREACHABLE"
        )
        raw = "\n".join((row.title, row.buyer, row.published.isoformat(), row.kind, row.region))
        with self._desk.connection() as connection:
            connection.execute(KEEP, self._kept(Page(row.url, row.title, digest)))
        self._refuse("notice_page", row.url, reason, str(error), raw)
        self._forgive(row.url)

    def _tried(self, url: str) -> int:
        tries: dict[str, int] = self._turn.cursor.setdefault("tries", {})
        tries[url] = tries.get(url, 0) + 1
        return tries[url]

    def _forgive(self, url: str) -> None:
        self._turn.cursor.get("tries", {}).pop(url, None)

    def _observe(self, page: Page, answer: Answer) -> None:
        html = decode(answer.content, answer.headers.get("content-type", ""))
        now = self._desk.now()
        content = hashlib.sha256(html.encode()).hexdigest()
        with self._desk.connection() as connection:
            if answer.status == 304:
                connection.execute(UNCHANGED, self._kept(page))
                return
            connection.execute(KEEP, self._kept(page, answer, content))
            if answer.status in (404, 410):
                message = f"the page answers {answer.status}"
                self._refuse("notice_page", page.url, "PAGE_GONE", message, page.title)
                return
            if content == page.content:
                return
            fetched = events.NoticeFetched(source=SOURCE, url=page.url, html=html, fetch_time=protos.timestamp(now))
            # What is corrected back is news as well.
            id = uuid5(NAMESPACE_URL, f"{page.url}#{page.content}#{content}#{now.isoformat()}")
            self._desk.observe(fetched, page.url, id=id, connection=connection)
        self._turn.read += 1

    def _kept(self, page: Page, answer: Answer | None = None, content: str = "") -> dict[str, Any]:
        """A page that could not be had is asked for without conditions, should the list ever say something else of it; and
        only what was had is looked at again."""
        had = answer is not None and answer.status == 200
        etag, modified = validators(answer) if answer is not None and had else ("", "")
        kept = {"url": page.url, "source": SOURCE, "row_digest": page.row_digest, "now": self._desk.now()}
        kept |= {"etag": etag, "last_modified": modified, "published": page.published if had else None}
        return {**kept, "content": content if had else ""}

    def _refuse_broken(self, listed: ListPage, page: str) -> None:
        for broken in listed.quarantined:
            if broken.reason == "LAYOUT_UNKNOWN":
                raise OutsideError("the list has another layout than we know")
            self._refuse("notice_row", page.partition("?")[0], broken.reason, "", broken.raw)

    def _refuse(self, kind: str, key: str, reason: str, message: str, raw: str) -> None:
        refused = events.ItemRefused(source=SOURCE, kind=kind, key=key, reason=reason, message=message, raw=raw)
        refused.fetch_time.FromDatetime(self._desk.now())
        digest = hashlib.sha256(f"{kind}|{key}|{reason}|{raw}".encode()).hexdigest()
        self._turn.refused += self._desk.observe(refused, SOURCE, id=uuid5(NAMESPACE_URL, f"refused:{digest}"))

    def _get(self, url: str, headers: dict[str, str]) -> Answer | None:
        """None where this turn has used up its calls. Raises SlowDownError, or OutsideError for an answer that is none."""
        if self._calls >= self._turn.rules.max_requests:
            return None
        _rested.wait(self._turn.rules.pause_seconds)
        self._calls += 1
        try:
            answer = self._client.get(url, headers)
        finally:
            _rested.begin()
        if answer.status in (429, 503):
            wait = answer.retry_after or self._turn.rules.patience_seconds
            raise SlowDownError(wait, away=answer.status == 503)
        # "Not changed" is no answer to who knows nothing yet.
        if answer.status not in (200, 404, 410) and not (answer.status == 304 and headers):
            raise OutsideError(f"the site answers {answer.status}")
        return answer


def validators(answer: Answer) -> tuple[str, str]:
    """ETag and Last-Modified, each empty where it is not given; what no honest site gives, and nobody can send, is none."""
    etag, modified = (_sendable(answer.headers.get(name, "").strip()) for name in ("etag", "last-modified"))
    return etag, modified


def _sendable(value: str) -> str:
    return value if len(value) <= LONGEST_VALIDATOR and value.isascii() and value.isprintable() else ""


def conditions(etag: str, modified: str) -> dict[str, str]:
    """Headers by which a page is sent only if it has changed (RFC 9110, 13.1). Both are sent where both are known: who
    knows tags goes by them alone, and older servers and caches by the date."""
    given = {"If-None-Match": etag, "If-Modified-Since": modified}
    return {name: value for name, value in given.items() if value}
