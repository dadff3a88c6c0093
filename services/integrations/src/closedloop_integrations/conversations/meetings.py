"""Asks WeCom what a meeting was that its callback has named. Runs in the courier.

Source: developer.work.weixin.qq.com/document/path/91039 (token), /98149 (details of a meeting).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis.courier.desk import Desk
from closedloop_integrations.conversations.rules import ConversationRules
from closedloop_integrations.outbound import Answer, NotSentError, Outbound, SlowDownError
from closedloop_integrations.polling import Turn, in_force, turn
from closedloop_integrations.settings import outside

SOURCE, FEED = "wecom_meetings", "wecom_meeting"
DUE = "SELECT id FROM meeting_wanted WHERE due_at <= %(now)s ORDER BY due_at LIMIT %(most)s"
LATER = "UPDATE meeting_wanted SET due_at = %(due)s WHERE id = %(id)s"
DONE = "DELETE FROM meeting_wanted WHERE id = %(id)s"
TOKEN, DETAILS = "/cgi-bin/gettoken", "/cgi-bin/meeting/get_info"
# Their codes: a token that holds no more, more than so many a minute, a meeting nobody knows.
EXPIRED, TOO_FAST, UNKNOWN = (40001, 40014, 42001), (45009, 45033), (400012, 40066)
WAITING, HELD, OVER, CANCELLED = 1, 2, 3, 4


def poll(desk: Desk) -> None:
    where = outside()
    secret = where.wecom_secret.get_secret_value()
    with turn(desk, SOURCE, "meetings", configured=bool(where.wecom_corp_id and secret)) as mine:
        if mine is None:
            return
        with desk.connection() as connection:
            wanted = connection.execute(DUE, {"now": mine.now, "most": mine.rules.max_requests}).fetchall()
            again = timedelta(minutes=in_force(connection, ConversationRules, mine.now).meeting_minutes)
        mine.idle = not wanted
        if wanted:
            with Outbound(where.wecom_api_url, mine.rules.timeout_seconds, mine.rules.max_bytes) as client:
                patience = mine.rules.patience_seconds
                platform = WecomApi(client, where.wecom_api_url, where.wecom_corp_id, secret, patience)
                _ask(desk, mine, platform, wanted, again)


class UntoldError(NotSentError):
    """The platform is well, but does not tell of this meeting, with a code nobody has foreseen."""


def _ask(desk: Desk, mine: Turn, platform: WecomApi, wanted: list[Any], again: timedelta) -> None:
    """Raises UntoldError where it tells of none: then it is more than one meeting that is amiss."""
    untold: UntoldError | None = None
    answered = 0
    for (id,) in wanted:
        try:
            told = platform.meeting(id)
        except UntoldError as error:
            # Behind the others, which it must not keep.
            untold = error
            with desk.connection() as connection:
                connection.execute(LATER, {"id": id, "due": mine.now + again})
            continue
        answered += 1
        status = told.get("status")
        if status in (WAITING, HELD):
            # It is over when it was to be over, or soon after.
            begin, length = (_number(told.get(name)) for name in ("meeting_start", "meeting_duration"))
            end = datetime.fromtimestamp(begin + length, UTC)
            with desk.connection() as connection:
                connection.execute(LATER, {"id": id, "due": max(end, mine.now) + again})
            continue
        with desk.connection() as connection:
            if status == OVER:
                told["meetingid"] = id
                fetched = events.FeedFetched(feed=FEED, items=[json.dumps(told, ensure_ascii=False)])
                fetched.fetch_time.FromDatetime(mine.now)
                desk.observe(fetched, FEED, id=uuid5(NAMESPACE_URL, f"{SOURCE}:{id}"), connection=connection)
                mine.read += 1
            connection.execute(DONE, {"id": id})
    if untold is not None and not answered:
        raise untold


class WecomApi:
    """One turn's calls; the token is asked for once, and once more when it holds no longer."""

    def __init__(self, client: Outbound, url: str, corp_id: str, secret: str, patience: float) -> None:
        self._client, self._url, self._corp_id, self._secret = client, url.rstrip("/"), corp_id, secret
        self._patience = patience
        self._token = ""

    def meeting(self, id: str) -> dict[str, Any]:
        """Empty for one nobody knows. Raises OutsideError, of which UntoldError concerns this meeting alone."""
        for _ in range(2):
            self._token = self._token or self._fresh()
            url = f"{self._url}{DETAILS}?access_token={self._token}"
            told = _read(self._client.post_json(url, {"meetingid": id}), self._patience)
            code = told.get("errcode")
            if code == 0:
                return told
            if code in UNKNOWN:
                return {}
            if code not in EXPIRED:
                raise UntoldError(f"the platform answers {code}")
            self._token = ""
        raise NotSentError("the platform takes no token of ours")

    def _fresh(self) -> str:
        params = {"corpid": self._corp_id, "corpsecret": self._secret}
        told = _read(self._client.get(f"{self._url}{TOKEN}", params=params), self._patience)
        if told.get("errcode") or not isinstance(told.get("access_token"), str):
            raise NotSentError(f"no token: {told.get('errcode')}")
        return str(told["access_token"])


def _read(answer: Answer, patience: float) -> dict[str, Any]:
    """Raises SlowDownError, NotSentError."""
    if answer.status == 429:
        raise SlowDownError(answer.retry_after or patience)
    try:
        told = json.loads(answer.content) if answer.status == 200 else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise NotSentError(f"an answer of status {answer.status} nobody understands")
    if told.get("errcode") in TOO_FAST:
        raise SlowDownError(patience)
    return told


def _number(said: object) -> int:
    """Seconds, within reason."""
    return min(max(said, 0), 10**10) if isinstance(said, int) and not isinstance(said, bool) else 0
