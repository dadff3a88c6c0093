"""Asks the ERP for documents changed since the last time, page by page. Runs in the courier.

One poll per list. `modify_begin` is inclusive and counts whole seconds, so the last documents come again; those that
are the same are left out here, and whatever slips through changes nothing when it is applied. Where one second holds more
documents than a turn may ask for (a mass change, a migration), the next turn goes on at the page reached.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import NAMESPACE_URL, uuid5

from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis.courier.desk import Desk
from closedloop_integrations.erp.rules import ErpRules
from closedloop_integrations.outbound import Outbound, OutsideError, SlowDownError
from closedloop_integrations.polling import Turn, fairly, in_force, turn
from closedloop_integrations.settings import Outside, outside
from closedloop_integrations.sources.rules import PollRules

# The adapter's name; documents carry the rulebook's source.
ADAPTER = "erp"
TOKEN_INVALID = "20002"

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: its number, how many there are by now, and what stands on it."""

    number: int
    count: int
    records: list[Record]


class Ledger(Protocol):
    """Where documents come from."""

    def pages(self, list_name: str, modified: str, size: int, first: int) -> Iterator[Page]:
        """Documents changed at or after `modified` ("YYYY-MM-DD HH:MM:SS", empty: all), oldest first, from page `first`
        (of 1) on. Raises OutsideError."""
        ...


class Token:
    """The one token of this process; asked for when there is none or it has run out."""

    def __init__(self) -> None:
        self.id = ""
        self.ends = 0.0

    def forget(self) -> None:
        self.id = ""

    def valid(self) -> bool:
        # A minute early, so that it does not end on the way.
        return bool(self.id) and time.monotonic() < self.ends - 60


TOKEN = Token()


class U8:
    """The open interface of a U8-like ERP over HTTP."""

    def __init__(self, client: Outbound, where: Outside, token: Token, limits: PollRules) -> None:
        self._client, self._where, self._token = client, where, token
        self._limits, self._calls = limits, limits.max_requests

    def pages(self, list_name: str, modified: str, size: int, first: int) -> Iterator[Page]:
        page = count = first
        while page <= count and self._calls > 0:
            asked: dict[str, Any] = {"page_index": page, "rows_per_page": size}
            told = self._ask(list_name, asked | ({"modify_begin": modified} if modified else {}))
            records = told.get(list_name)
            if not isinstance(records, list):
                raise OutsideError(f"the answer holds no {list_name}")
            count = int(told.get("page_count") or 0)
            yield Page(page, count, records)
            page += 1

    @property
    def exhausted(self) -> bool:
        return self._calls <= 0

    def _ask(self, list_name: str, asked: dict[str, Any]) -> Record:
        for again in (True, False):
            if not self._token.valid():
                self._renew()
            where = self._where
            whom = {"from_account": where.erp_account, "to_account": where.erp_account, "app_key": where.erp_app_key}
            told = self._get(f"/api/{list_name}/batch_get", {**whom, "token": self._token.id, **asked})
            if told.get("errcode") == "0":
                return told
            if told.get("errcode") != TOKEN_INVALID or not again:
                break
            self._token.forget()
        raise OutsideError(f"{told.get('errcode')}: {told.get('errmsg')}"[:300])

    def _renew(self) -> None:
        where = self._where
        secret = where.erp_app_secret.get_secret_value()
        told = self._get(
            "/system/token", {"from_account": where.erp_account, "app_key": where.erp_app_key, "app_secret": secret}
        )
        grant = told.get("token")
        if told.get("errcode") != "0" or not isinstance(grant, dict) or not grant.get("id"):
            raise OutsideError(f"no token: {told.get('errcode')}: {told.get('errmsg')}"[:300])
        self._token.id = str(grant["id"])
        self._token.ends = time.monotonic() + float(grant.get("expiresIn") or 0)

    def _get(self, path: str, params: dict[str, Any]) -> Record:
        self._calls -= 1
        time.sleep(self._limits.pause_seconds)
        answer = self._client.get(self._where.erp_url.rstrip("/") + path, params=params)
        if answer.status in (429, 503):
            wait = answer.retry_after or self._limits.patience_seconds
            raise SlowDownError(wait, away=answer.status == 503)
        if answer.status != 200:
            raise OutsideError(f"the ERP answers {answer.status}")
        try:
            told = json.loads(answer.content)
        except (ValueError, RecursionError) as error:
            raise OutsideError("the answer is no JSON") from error
        if not isinstance(told, dict):
            raise OutsideError("the answer is no JSON object")
        return told


def poll(desk: Desk) -> None:
    where = outside()
    with desk.connection() as connection:
        rules = in_force(connection, ErpRules, desk.now())
    for list_name in fairly(ADAPTER, rules.lists) if where.erp_url else rules.lists[:1]:
        with turn(desk, ADAPTER, list_name, configured=bool(where.erp_url)) as mine:
            if mine is not None:
                limits = mine.rules
                with Outbound(where.erp_url, limits.timeout_seconds, limits.max_bytes) as client:
                    ledger = U8(client, where, TOKEN, limits)
                    fetch_changed(desk, mine, ledger, list_name, rules)
                    mine.unfinished = ledger.exhausted


def fetch_changed(desk: Desk, mine: Turn, ledger: Ledger, list_name: str, rules: ErpRules) -> None:
    """The cursor: `modified`, the last change seen, `seen`, digests of the documents of that second, and `page`, the last
    one read of a second that is longer than a turn."""
    cursor = mine.cursor
    latest = (desk.now().astimezone(rules.zone) + timedelta(hours=rules.ahead_hours)).replace(tzinfo=None)
    since, seen = cursor.get("modified", ""), set(cursor.get("seen", ()))
    first = int(cursor.get("page", 1))
    # Of a long second the last pages are enough: the next turn begins with the last of them.
    reached = set[str]() if first > 1 else set(seen)
    for page in ledger.pages(list_name, since, rules.rows_per_page, first):
        texts = {
            _digest(text): text
            for record in page.records
            # JSON can escape half a character, which nothing behind us takes.
            if (text := json.dumps(record, ensure_ascii=False, sort_keys=True).encode("utf-8", "replace").decode())
        }
        fresh = {digest: text for digest, text in texts.items() if digest not in seen}
        if fresh:
            fetched = events.ErpDocumentsFetched(source=rules.source, list=list_name, documents=list(fresh.values()))
            fetched.fetch_time.FromDatetime(desk.now())
            id = uuid5(NAMESPACE_URL, f"{rules.source}:{list_name}:{_digest(''.join(sorted(fresh)))}")
            desk.observe(fetched, f"{rules.source}:{list_name}", id=id)
            mine.read += len(fresh)
        moments = {digest: _modified(text, latest) for digest, text in texts.items()}
        newest = max((cursor.get("modified", ""), *moments.values()))
        if newest > cursor.get("modified", ""):
            reached.clear()
        reached |= {digest for digest, moment in moments.items() if newest and moment == newest}
        cursor.update(modified=newest, seen=sorted(reached), page=_go_on_at(page, first, since, set(moments.values())))
        mine.newest = _instant(cursor.get("modified", ""), rules) or mine.newest


def _go_on_at(page: Page, first: int, since: str, moments: set[str]) -> int:
    """The page the next turn begins at: another than 1 only within a second longer than a turn. The last page comes again,
    because what is changed meanwhile moves to the end of the list and pulls the others forward."""
    if not since or moments != {since} or (first == 1 and page.number >= page.count):
        return 1
    # With one call a turn the same page would come for ever; such a turn forgoes that.
    return page.number + 1 if page.number == first and page.number < page.count else page.number


def _modified(text: str, latest: datetime) -> str:
    """When the document was changed; empty where that is no moment, or one to come: with a cursor of the year 2099 nothing
    would ever be new."""
    try:
        told = json.loads(text).get("dmodifysystime")
        return str(told) if datetime.fromisoformat(str(told)).replace(tzinfo=None) <= latest else ""
    except (ValueError, AttributeError, OverflowError):
        return ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _instant(text: str, rules: ErpRules) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=rules.zone)
    except ValueError:
        return None
