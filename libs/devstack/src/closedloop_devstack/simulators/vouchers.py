"""The text file through which general ledgers of the U8 family exchange vouchers (凭证引入).

GB18030, CRLF. The first line is `填制凭证,V800`; each further line is one entry, fields by comma, in this order:
制单日期 (YYYY-MM-DD), 凭证类别字 (收 付 转 记), 业务号, 附单据数, 摘要, 科目编码, 借方金额, 贷方金额, 数量, 外币,
汇率, 制单人, 结算方式, 票号, 发生日期, 部门编码, 个人编码, 客户编码, 供应商编码, 业务员, 项目编码. Lines with the
same date, type and number are one voucher and stand together; debits and credits of a voucher are equal; of the two
amounts of an entry one is 0.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

HEADER = "填制凭证,V800"


@dataclass(frozen=True)
class Entry:
    """One line of a voucher; amounts in yuan."""

    day: date
    number: int
    summary: str
    account: str
    debit: Decimal = Decimal(0)
    credit: Decimal = Decimal(0)
    type: str = "记"
    prepared_by: str = "demo"
    document: str = ""
    department: str = ""
    person: str = ""
    customer: str = ""

    def line(self) -> str:
        fields = (
            f"{self.day:%Y-%m-%d}",
            self.type,
            str(self.number),
            "1",
            self.summary,
            self.account,
            f"{self.debit:.2f}",
            f"{self.credit:.2f}",
            "0",
            "0",
            "0",
            self.prepared_by,
            "",
            self.document,
            f"{self.day:%Y-%m-%d}",
            self.department,
            self.person,
            self.customer,
            "",
            self.person,
            "",
        )
        # The format has no quoting: a comma or line break inside a field would shift all others.
        return ",".join(field.replace(",", "，").replace("\r", " ").replace("\n", " ") for field in fields)


def render(entries: Iterable[Entry]) -> bytes:
    return "".join(f"{line}\r\n" for line in (HEADER, *(entry.line() for entry in entries))).encode("gb18030")


def write(path: Path, entries: Iterable[Entry]) -> Path:
    """Writes the file whole: a reader of the folder sees it complete or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(render(entries))
    os.replace(partial, path)
    return path
