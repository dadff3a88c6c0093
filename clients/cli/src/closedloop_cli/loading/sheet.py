"""Lists as sales people keep them: titles and words of the company's own, as its rulebook customers.sheets has them (U14)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any

from google.protobuf import json_format

from closedloop.targets.v1 import org_pb2, org_pb2_grpc
from closedloop_cli.packs.company import rulebook
from closedloop_cli.session import Session

# Kind of record → its word in the rulebook.
KINDS = {"leads": "lead", "accounts": "account", "contacts": "contact"}
OWNER, REGION = "owner_id", "region_code"
# Rulebook customers.codes → the path its titles are words of.
TITLED = {"industries": "industry", "customer_types": "customer_type", "regions": REGION}
SEVERAL = re.compile(r"[;；、,，/\n]+")
_BESIDE = re.compile(r"[(\[【{（].*?[)\]】}）]|[\s*＊:：]+")
_PARTS = re.compile(r"[/、|或]")
_DAY = re.compile(r"(\d{4})[年/.-](\d{1,2})[月/.-](\d{1,2})日?(?:[ T].*)?")
_AMOUNT = re.compile(r"[¥￥]?(?P<number>[\d,]*\.?\d+)(?P<times>千|万|百万|千万|亿|k|w)?(?:元|块|人民币)?")
_TIMES = {"千": 10**3, "k": 10**3, "万": 10**4, "w": 10**4, "百万": 10**6, "千万": 10**7, "亿": 10**8}
_PROVINCE_ENDS = re.compile(r"(?:省|市|(?:维吾尔|壮族|回族)?自治区|特别行政区)$")


class Sheet:
    """Of one kind of record. The rulebooks are asked when the first strange title is met, once; the organisation when the
    first name of a person is."""

    def __init__(self, run: Session, kind: str) -> None:
        self._run = run
        self._kind = KINDS.get(kind, "")

    def called(self, title: str) -> tuple[str, int] | None:
        """The contract's path, and how far behind in the rulebook the title stands; None for what nobody declared."""
        if not self._kind:
            return None
        whole = plain(title)
        return next((self._titles[word] for word in (whole, *_PARTS.split(whole)) if word in self._titles), None)

    def has_words(self, path: str) -> bool:
        """Whether cells stand for something else; days, amounts and numbers are only written otherwise."""
        return path == OWNER or path in self._words

    def meant(self, path: str, text: str) -> str:
        """The cell as the contract has it. Raises ValueError with what it may be."""
        if path == OWNER:
            return self._person(text)
        words = self._words.get(path, {})
        if not words:
            return text
        if (found := words.get(text) or words.get(text.lower())) is not None:
            return found
        if text in words.values() or (path == REGION and text.isascii()):
            return text
        if path == REGION and (place := self._region(text)):
            return place
        raise ValueError(f"{text!r} is none of {'、'.join(list(words)[:40])}")

    def amount(self, text: str) -> str:
        """50万 is 500000 CNY; what names a currency stays as it is."""
        found = _AMOUNT.fullmatch(unicodedata.normalize("NFKC", text).replace(" ", "").lower())
        if found is None:
            return text
        number = Decimal(found["number"].replace(",", "")) * _TIMES.get(found["times"] or "", 1)
        return f"{number:f} {self._rules['currency']}"

    @cached_property
    def _rules(self) -> Mapping[str, Any]:
        return self._body("customers.sheets")

    @cached_property
    def _titles(self) -> dict[str, tuple[str, int]]:
        return {
            plain(title): (path, rank)
            for path, titles in self._rules[self._kind].items()
            for rank, title in enumerate(titles)
        }

    @cached_property
    def _words(self) -> dict[str, dict[str, str]]:
        codes = self._body("customers.codes")
        words = {path: {title: code for code, title in codes[book].items()} for book, path in TITLED.items()}
        words[REGION] |= codes["places"]
        for path, said in self._rules["words"].items():
            words[path] = {**words.get(path, {}), **dict(said.items())}
        return {path: {**{word.lower(): code for word, code in said.items()}, **said} for path, said in words.items()}

    def _region(self, text: str) -> str:
        """ "上海市", "浙江省杭州市西湖区": by the first place it begins with."""
        words = self._words[REGION]
        bare = _PROVINCE_ENDS.sub("", text)
        return words.get(bare) or next(
            (words[name] for name in sorted(words, key=len, reverse=True) if text.startswith(name)), ""
        )

    def _person(self, text: str) -> str:
        """By name, or the code itself."""
        ids = self._people.get(text, [])
        if len(ids) > 1:
            raise ValueError(f"{text!r} is the name of {', '.join(ids)}: write whom you mean")
        if not ids and not text.isascii():
            raise ValueError(f"nobody here is called {text!r}")
        return ids[0] if ids else text

    @cached_property
    def _people(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for id_, name in self._colleagues():
            found.setdefault(name, []).append(id_)
        return found

    def _colleagues(self) -> Iterable[tuple[str, str]]:
        stub = self._run.stub("targets", org_pb2_grpc.OrgServiceStub)
        for person in self._run.pages(stub.ListPeople, org_pb2.ListPeopleRequest(), "people"):
            yield person.id, person.name

    def _body(self, name: str) -> Mapping[str, Any]:
        body: dict[str, Any] = json_format.MessageToDict(rulebook(self._run, "customers", name).body)
        return body


def plain(title: str) -> str:
    """Without blanks, stars, colons and what stands in brackets, in one width and case."""
    return _BESIDE.sub("", unicodedata.normalize("NFKC", title)).lower()


def day(text: str) -> str:
    """2026年3月1日, 2026/3/1 as ISO; other texts as they are."""
    found = _DAY.fullmatch(text.strip())
    return f"{found[1]}-{int(found[2]):02}-{int(found[3]):02}" if found else text
