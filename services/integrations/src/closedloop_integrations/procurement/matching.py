"""Which customers a notice speaks of, and which sectors it belongs to.

A buyer is a customer only by its full name: 山东师范大学附属中学 is not 山东师范大学, and 第一中学 is not every
town's 第一中学. In running text a name counts where it stands by itself; all names and all keywords are looked for in
one pass (Aho-Corasick).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import ahocorasick
from pydantic import BaseModel, ConfigDict, Field

Place = Literal["buyer", "title", "body"]

_BRACKETS = str.maketrans("【[〔［{<《】]〕］}>》", "((((((()))))))")
_NOISE = re.compile(r"[\s·•・\-–—_\"'“”‘’]")
_BRACKETED = re.compile(r"(?P<head>[^()]+)\((?P<inner>[^()]+)\)")
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_LOCATED = re.compile(r"[\u3400-\u9fff]{2,7}?(?:省|市|县|区|州|盟|旗)")


class SectorKeywords(BaseModel):
    """A sector is found by any of `words`. One of `without` in the title and it is none of the sector; in another line, such
    as a lot, and that line does not count. `not_words` look like words and are none: 科学院 is no 学院."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: tuple[str, ...] = Field(min_length=1)
    without: tuple[str, ...] = ()
    not_words: tuple[str, ...] = ()


class MatchingRules(BaseModel):
    """What is a name, what makes another unit of it, and what names a sector."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minimum_name_length: int = Field(default=4, ge=2, description="shorter names are matched as buyers only")
    look_behind: int = Field(default=8, ge=1, le=100, description="characters before a name that are read with it")
    look_ahead: int = Field(default=30, ge=1, le=500, description="characters behind a name that are read with it")
    own_parts: tuple[str, ...] = Field(
        default=("本级", "机关", "本部", "校本部", "院本部", "采购人", "招标人", "甲方", "买方"),
        description="in brackets or behind a name: the unit itself",
    )
    other_units: tuple[str, ...] = Field(
        default=("附属", "附中", "附小", "医院", "中学", "小学", "幼儿园", "分校", "分院", "分局", "分公司", "子公司"),
        description="behind a name, before the next break: another unit",
    )
    not_units: tuple[str, ...] = Field(default=("中小学",), description="look like other units and are none")
    breaks: tuple[str, ...] = Field(
        default=(
            "采购",
            "项目",
            "关于",
            "公开",
            "招标",
            "询价",
            "政府",
            "的",
            "和",
            "与",
            "及",
            "为",
            "在",
            "等",
            "年",
            "拟",
        ),
        description="a name ends where one of these begins",
    )
    openers: tuple[str, ...] = Field(
        default=(
            "关于",
            "采购人",
            "采购单位",
            "招标人",
            "受",
            "由",
            "为",
            "与",
            "和",
            "及",
            "向",
            "对",
            "在",
            "是",
            "经",
            "位于",
            "至",
            "到",
            "给",
        ),
        description="words directly before a name that do not belong to it",
    )
    sectors: dict[str, SectorKeywords] = Field(
        default={
            "education": SectorKeywords(
                words=(
                    "学校",
                    "中学",
                    "小学",
                    "大学",
                    "学院",
                    "幼儿园",
                    "教育局",
                    "教学",
                    "智慧黑板",
                    "多媒体教室",
                    "实验室设备",
                    "校园",
                ),
                without=("食堂", "物业", "校服"),
                not_words=("科学院",),
            ),
            "healthcare": SectorKeywords(
                words=("医院", "卫生院", "卫生中心", "疾控", "医疗设备", "诊疗", "护理"),
            ),
            "digital_government": SectorKeywords(
                words=(
                    "信息化",
                    "信息系统",
                    "业务系统",
                    "管理平台",
                    "数字平台",
                    "云平台",
                    "智慧城市",
                    "政务云",
                    "大数据",
                    "数据中心",
                    "数据要素",
                    "软件开发",
                    "网络安全",
                    "等级保护",
                    "等保测评",
                )
            ),
        }
    )


@dataclass(frozen=True, slots=True)
class CustomerName:
    """A name or alias under which a customer may appear."""

    customer_id: str
    name: str


@dataclass(frozen=True, slots=True)
class NameMatch:
    """A customer found: under which name, and where it stands; "buyer" is the strongest place, "body" the weakest."""

    customer_id: str
    name: str
    place: Place


@dataclass(frozen=True, slots=True)
class SectorMatch:
    """A sector found, with the keywords that name it, in order of appearance."""

    sector: str
    keywords: tuple[str, ...]
    in_title: bool


@dataclass(frozen=True, slots=True)
class NoticeMatch:
    """Customers, each once with its strongest place, in order of strength; sectors in the order of the rules."""

    customers: tuple[NameMatch, ...]
    sectors: tuple[SectorMatch, ...]


def normalise(name: str) -> str:
    """Half width, lower case, one kind of brackets, no white space, no middle dots, dashes or quotation marks."""
    return _NOISE.sub("", unicodedata.normalize("NFKC", name).casefold().translate(_BRACKETS))


class NoticeMatcher:
    """Built once per set of names and rules, then used for many notices; holds no state."""

    def __init__(self, names: Iterable[CustomerName], rules: MatchingRules | None = None) -> None:
        self.rules = rules or MatchingRules()
        self._names: dict[str, list[CustomerName]] = {}
        for name in names:
            if key := normalise(name.name):
                self._names.setdefault(key, []).append(name)
        self._in_text = _automaton(key for key in self._names if len(key) >= self.rules.minimum_name_length)
        self._sector_words = {
            sector: {normalise(word): word for word in keywords.words}
            for sector, keywords in self.rules.sectors.items()
        }
        self._without = {sector: [*map(normalise, given.without)] for sector, given in self.rules.sectors.items()}
        self._not_words = {sector: [*map(normalise, given.not_words)] for sector, given in self.rules.sectors.items()}
        self._keywords = _automaton(word for words in self._sector_words.values() for word in words)
        self._breaks = _any_of(self.rules.breaks)
        self._openers = _any_of(self.rules.openers)

    def match(self, buyer: str, title: str, body: str = "") -> NoticeMatch:
        found: dict[str, NameMatch] = {}
        texts: tuple[tuple[Place, str], ...] = (("title", title), ("body", body))
        places: list[tuple[Place, str]] = [("buyer", key) for key in self._buyer_names(normalise(buyer))]
        places += [(place, key) for place, text in texts for key in self._mentions(_running(text))]
        for place, key in places:
            for name in self._names.get(key, ()):
                found.setdefault(name.customer_id, NameMatch(name.customer_id, name.name, place))
        return NoticeMatch(tuple(found.values()), tuple(self._sectors(_running(title), _running(f"{buyer}\n{body}"))))

    def _buyer_names(self, buyer: str) -> Iterator[str]:
        """As printed, without "本级", and both names of 某院(某中心); 山东大学(威海) stays what it is."""
        yield buyer
        for part in self.rules.own_parts:
            if buyer.endswith(part):
                yield buyer.removesuffix(part)
        if found := _BRACKETED.fullmatch(buyer):
            head, inner = found["head"], found["inner"]
            if self._same_unit(inner) and (self._another(head) or not self._another(inner)):
                yield head
            yield inner

    def _mentions(self, text: str) -> Iterator[str]:
        covered = 0
        for start, end, key in _longest(self._in_text, text):
            if start >= covered and self._stands_alone(text, start, end, key):
                covered = end
                yield key

    def _stands_alone(self, text: str, start: int, end: int, key: str) -> bool:
        before = text[max(0, start - self.rules.look_behind) : start]
        after = text[end : end + self.rules.look_ahead]
        if _CHINESE.match(before[-1:]) and not before.endswith(self.rules.openers + self.rules.breaks):
            # 山东省 before 济南市第三中学 says where the town lies; before 第三中学 it makes another school.
            places = self._openers.split(before)[-1]
            if not (_LOCATED.match(key) and re.fullmatch(rf"(?:{_LOCATED.pattern})+", places)):
                return False
        for word in self.rules.not_units:
            after = after.replace(word, "")
        bracket = re.match(r"\(([^()]*)\)", after)
        if bracket and not self._same_unit(bracket[1]):
            return False
        following = re.match(r"[\u3400-\u9fff()]*", after)
        return not self._another(self._breaks.split(following[0] if following else "")[0])

    def _same_unit(self, inner: str) -> bool:
        """Whether brackets behind a name leave it the same unit: they hold a role or a second name, not a place."""
        return inner in self.rules.own_parts or len(inner) >= self.rules.minimum_name_length

    def _another(self, words: str) -> bool:
        return any(unit in words for unit in self.rules.other_units)

    def _sectors(self, title: str, rest: str) -> Iterator[SectorMatch]:
        in_title = _found(self._keywords, title)
        elsewhere = [(line, found) for line in rest.splitlines() if (found := _found(self._keywords, line))]
        for sector, words in self._sector_words.items():
            if any(word in title for word in self._without[sector]):
                continue
            said = [word for word in in_title if word in words and self._meant(sector, word, title)]
            others = [
                word
                for line, hits in elsewhere
                if not any(word in line for word in self._without[sector])
                for word in hits
                if word in words and self._meant(sector, word, line)
            ]
            if named := tuple(dict.fromkeys(words[word] for word in said + others)):
                yield SectorMatch(sector, named, bool(said))

    def _meant(self, sector: str, word: str, line: str) -> bool:
        for other in self._not_words[sector]:
            line = line.replace(other, "")
        return word in line


def _automaton(words: Iterable[str]) -> ahocorasick.Automaton:
    automaton = ahocorasick.Automaton()
    for word in words:
        automaton.add_word(word, word)
    automaton.make_automaton()
    return automaton


def _any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, words)) or r"(?!)")


def _found(automaton: ahocorasick.Automaton, text: str) -> list[str]:
    # An automaton without words cannot be asked.
    return [word for _, word in automaton.iter(text)] if len(automaton) else []


def _longest(automaton: ahocorasick.Automaton, text: str) -> list[tuple[int, int, str]]:
    """(start, end, word) of every hit that lies in no longer one, from left to right."""
    if not len(automaton):
        return []
    hits = sorted(
        ((last + 1 - len(word), last + 1, word) for last, word in automaton.iter(text)), key=lambda h: (h[0], -h[1])
    )
    kept: list[tuple[int, int, str]] = []
    for hit in hits:
        if not kept or hit[1] > kept[-1][1]:
            kept.append(hit)
    return kept


def _running(text: str) -> str:
    """Normalised line by line: no name goes over the end of a line."""
    return "\n".join(normalise(line) for line in text.splitlines())
