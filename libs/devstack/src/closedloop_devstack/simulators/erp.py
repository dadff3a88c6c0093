"""An ERP with an open interface in the manner of Yonyou U8: HTTP, GET, JSON, everything lower-case and most of it
text.

Token: `GET /system/token?from_account=&app_key=&app_secret=` → `{"errcode": "0", "errmsg": "", "token": {"appKey": …,
"expiresIn": 7200, "id": …}}`.

Lists: `GET /api/<list>/batch_get?from_account=&to_account=&app_key=&token=&page_index=1&rows_per_page=20` and
optionally `date_begin`, `date_end` (document day), `modify_begin` (`YYYY-MM-DD HH:MM:SS`: changed at or after),
`ccuscode`; oldest change first → `{"errcode": "0", "errmsg": "", "page_index": "1", "page_count": "1", "row_count":
"2", "<list>": [...]}`. Errors come with status 200: `20001` key or secret wrong, `20002` token unknown or expired,
`30001` a parameter missing or wrong.

Times are China's, without offset; amounts are yuan as text with 2 decimals, quantities with 6; `itaxrate` is percent
("13.00").

- `saleorder`, `saleinvoice`, `salereturn`: `ccode` number, `ddate` day, `dverifydate` when approved ("" while not,
  and again after 弃审), `iyperiod` accounting period ("202601"), `cstcode` `cstname` type of sale,
  `csocode` order it belongs to, `ccuscode` `ccusname` customer, `cpersoncode` seller, `cdepcode` department,
  `cexch_name` currency, `dmodifysystime` last change, `isum` total with tax, `entry` lines: `irowno`, `cinvcode`
  `cinvname` inventory, `iquantity`, `itaxunitprice` price with tax, `itaxrate`, `imoney` without tax, `itax`, `isum`
  with tax. Returns are negative throughout.
- `cost`: `ccode`, `ddate`, `ccostcode` `ccostname` kind of cost, `imoney`, `csocode`, `ccuscode`, `cinvcode`,
  `cdepcode`, `cpersoncode`, `cstcode`, `cstname`, `iyperiod`, `dmodifysystime`.
- `currentstock`: `cwhcode` warehouse, `cinvcode` `cinvname`, `iquantity`, `iunitcost`, `imoney`, `dmodifysystime`.

Control: `POST /_control/<list>` adds or changes a record (fields of `erp_records.SaleDocument`, `CostEntry`,
`StockRow`), `GET` lists, `POST /_control/vouchers` writes the invoices not yet exchanged into the voucher file
(`vouchers.py`) in `exchange_folder`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from closedloop_devstack.simulators import vouchers
from closedloop_devstack.simulators.erp_records import LISTS, CostEntry, Record, SaleDocument, StockRow, booked
from closedloop_devstack.simulators.server import Clock, HttpSimulator, body, utc_now

CHINA = ZoneInfo("Asia/Shanghai")
_PREFIX = {"saleorder": "SO", "saleinvoice": "SI", "salereturn": "SR", "cost": "CO"}


class ErpServer(HttpSimulator):
    """`tables[list][key]` are the records as served. `seed` fixes the tokens; `token_seconds` is their life."""

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        seed: int = 1,
        clock: Clock = utc_now,
        account: str = "closedloop",
        app_key: str = "demo-key",
        app_secret: str = "demo-secret",
        token_seconds: int = 7200,
        exchange_folder: Path | None = None,
    ) -> None:
        super().__init__(port, host=host, clock=clock)
        self.account, self.app_key, self.app_secret = account, app_key, app_secret
        self.token_seconds = token_seconds
        self.exchange_folder = exchange_folder
        self.tables: dict[str, dict[str, Record]] = {name: {} for name in LISTS}
        self._tokens: dict[str, datetime] = {}
        self._random = random.Random(seed)
        self._exchanged: set[str] = set()
        self._vouchers = 0

    def put(self, table: str, document: SaleDocument | CostEntry | StockRow) -> Record:
        """Adds a record or changes the one with its `ccode` (stock: warehouse and inventory); returns it as served."""
        if not isinstance(document, LISTS[table]):
            raise TypeError(f"{table} holds {LISTS[table].__name__}")
        with self.lock:
            now = self.clock().astimezone(CHINA)
            key = document.key or f"{_PREFIX[table]}{now:%y%m}{len(self.tables[table]) + 1:06d}"
            record = document.record(key, now, -1 if table == "salereturn" else 1)
            self.tables[table][key] = record
            return record

    def write_vouchers(self, folder: Path | None = None) -> Path | None:
        """Books approved invoices not yet exchanged, and writes them; None when there is none."""
        target = folder or self.exchange_folder
        if target is None:
            raise ValueError("the ERP has no exchange folder")
        with self.lock:
            waiting = [
                invoice
                for code, invoice in sorted(self.tables["saleinvoice"].items())
                if code not in self._exchanged and invoice["dverifydate"]
            ]
            if not waiting:
                return None
            entries: list[vouchers.Entry] = []
            for invoice in waiting:
                self._vouchers += 1
                entries += booked(invoice, self._vouchers)
            name = f"vouchers-{self.clock().astimezone(CHINA):%Y%m%d-%H%M%S}-{self._vouchers:05d}.txt"
            path = vouchers.write(target / name, entries)
            self._exchanged.update(invoice["ccode"] for invoice in waiting)
            return path

    def routes(self) -> Sequence[Route]:
        return (
            Route("/system/token", self._token),
            Route("/api/{table}/batch_get", self._batch),
            Route("/_control/vouchers", self._exchange, methods=["POST"]),
            Route("/_control/{table}", self._put, methods=["POST"]),
            Route("/_control/{table}", self._all, methods=["GET"]),
        )

    async def _token(self, request: Request) -> Response:
        asked = request.query_params
        if (asked.get("from_account"), asked.get("app_key"), asked.get("app_secret")) != (
            self.account,
            self.app_key,
            self.app_secret,
        ):
            return _error("20001", "app_key或app_secret不正确")
        with self.lock:
            token = f"{self._random.getrandbits(128):032x}"
            self._tokens[token] = self.clock() + timedelta(seconds=self.token_seconds)
        grant = {"appKey": self.app_key, "expiresIn": self.token_seconds, "id": token}
        return JSONResponse({"errcode": "0", "errmsg": "", "token": grant})

    async def _batch(self, request: Request) -> Response:
        table, asked = request.path_params["table"], request.query_params
        if table not in LISTS:
            return _error("30001", f"接口不存在: {table}")
        if asked.get("app_key") != self.app_key or asked.get("to_account") != self.account:
            return _error("30001", "app_key或to_account不正确")
        expires = self._tokens.get(asked.get("token", ""))
        if expires is None or expires <= self.clock():
            return _error("20002", "token无效或已过期")
        try:
            page, size = int(asked.get("page_index", "1")), int(asked.get("rows_per_page", "20"))
            begin, end = (
                date.fromisoformat(asked[key]) if key in asked else None for key in ("date_begin", "date_end")
            )
            modified = datetime.fromisoformat(asked["modify_begin"]) if "modify_begin" in asked else None
        except ValueError as error:
            return _error("30001", f"参数格式不正确: {error}")
        if page < 1 or not 1 <= size <= 1000 or (modified is not None and modified.tzinfo is not None):
            return _error("30001", "page_index从1开始, rows_per_page为1至1000, modify_begin不带时区")
        with self.lock:
            rows = sorted(
                (
                    row
                    for row in self.tables[table].values()
                    if (begin is None or row.get("ddate", "") >= begin.isoformat())
                    and (end is None or row.get("ddate", "") <= end.isoformat())
                    and (modified is None or row["dmodifysystime"] >= f"{modified:%Y-%m-%d %H:%M:%S}")
                    and asked.get("ccuscode", row.get("ccuscode")) == row.get("ccuscode")
                ),
                key=lambda row: (row["dmodifysystime"], row.get("ccode") or row["cwhcode"] + row["cinvcode"]),
            )
        return JSONResponse(
            {
                "errcode": "0",
                "errmsg": "",
                "page_index": str(page),
                "page_count": str(math.ceil(len(rows) / size)),
                "row_count": str(len(rows)),
                table: rows[(page - 1) * size : page * size],
            }
        )

    async def _put(self, request: Request) -> Response:
        table = request.path_params["table"]
        if table not in LISTS:
            raise HTTPException(404, f"there are {sorted(LISTS)}")
        try:
            return JSONResponse(self.put(table, LISTS[table].model_validate(await body(request))), 201)
        except ValidationError as error:
            raise HTTPException(422, str(error)) from error

    async def _all(self, request: Request) -> Response:
        if request.path_params["table"] not in LISTS:
            raise HTTPException(404, f"there are {sorted(LISTS)}")
        return JSONResponse({"records": list(self.tables[request.path_params["table"]].values())})

    async def _exchange(self, _: Request) -> Response:
        if self.exchange_folder is None:
            raise HTTPException(409, "start the ERP with an exchange folder")
        path = self.write_vouchers()
        return JSONResponse({"path": str(path) if path else None})


def _error(code: str, message: str) -> Response:
    return JSONResponse({"errcode": code, "errmsg": message})
