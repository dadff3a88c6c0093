"""WeCom's (企业微信) details of meetings, as an application of the company asks for them.

`GET /cgi-bin/gettoken?corpid=C&corpsecret=S` answers `{"errcode": 0, "access_token", "expires_in"}`, 40013 or 40001 for
others; `POST /cgi-bin/meeting/get_info?access_token=T` with `{"meetingid"}` answers title, `meeting_start`,
`meeting_duration`, `status` (1 to come, 2 going on, 3 over, 4 cancelled) and `attendees`; 42001 for a token that holds no
more, 400012 for a meeting nobody knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from closedloop_devstack.simulators.server import Clock, HttpSimulator, body, utc_now


class WecomMeetings(HttpSimulator):
    """`meetings` by id, as they are told; `expire` ends the token that was given."""

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        clock: Clock = utc_now,
        corp_id: str = "corp1",
        secret: str = "secret",
    ) -> None:
        super().__init__(port, host=host, clock=clock)
        self.corp_id, self.secret = corp_id, secret
        self.meetings: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self._generation = 0

    def routes(self) -> Sequence[Route]:
        return (
            Route("/cgi-bin/gettoken", self._token, methods=["GET"]),
            Route("/cgi-bin/meeting/get_info", self._info, methods=["POST"]),
        )

    def expire(self) -> None:
        self._generation += 1

    async def _token(self, request: Request) -> Response:
        if request.query_params.get("corpid") != self.corp_id:
            return JSONResponse({"errcode": 40013, "errmsg": "invalid corpid"})
        if request.query_params.get("corpsecret") != self.secret:
            return JSONResponse({"errcode": 40001, "errmsg": "invalid credential"})
        return JSONResponse({"errcode": 0, "access_token": f"token{self._generation}", "expires_in": 7200})

    async def _info(self, request: Request) -> Response:
        if request.query_params.get("access_token") != f"token{self._generation}":
            return JSONResponse({"errcode": 42001, "errmsg": "access_token expired"})
        id = str((await body(request)).get("meetingid", ""))
        with self.lock:
            self.asked.append(id)
            told = self.meetings.get(id)
        if told is None:
            return JSONResponse({"errcode": 400012, "errmsg": "meeting not exist"})
        return JSONResponse({"errcode": 0, "errmsg": "ok", **told})
