"""Company names taken apart: where, who, in which legal form; so that one company written five ways is one name.

Width, case, punctuation, traditional characters and legal form never tell companies apart; places do.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import opencc

# Legal forms that do not tell companies apart; the longest that fits is cut off.
LEGAL_FORMS = (
    "有限责任公司", "股份有限公司", "有限公司", "股份公司", "总公司", "公司",
    "incorporated", "inc", "limited", "ltd", "corporation", "corp", "company", "co", "llc", "gmbh", "ag", "plc",
)  # fmt: skip
# Places that stand in names without saying what they are; others are known by their "市", "区", "县".
PLACES = (
    "北京", "天津", "河北", "山西", "内蒙古", "辽宁", "吉林", "黑龙江", "上海", "江苏", "浙江", "安徽", "福建", "江西",
    "山东", "河南", "湖北", "湖南", "广东", "广西", "海南", "重庆", "四川", "贵州", "云南", "西藏", "陕西", "甘肃",
    "青海", "宁夏", "新疆", "台湾", "香港", "澳门", "深圳", "广州", "佛山", "东莞", "珠海", "惠州", "中山", "汕头",
    "苏州", "无锡", "南京", "常州", "南通", "徐州", "扬州", "盐城", "杭州", "宁波", "温州", "嘉兴", "绍兴", "金华",
    "台州", "青岛", "济南", "烟台", "潍坊", "临沂", "淄博", "济宁", "成都", "绵阳", "武汉", "宜昌", "襄阳", "西安",
    "咸阳", "沈阳", "大连", "鞍山", "厦门", "福州", "泉州", "长沙", "株洲", "郑州", "洛阳", "合肥", "芜湖", "昆明",
    "石家庄", "唐山", "保定", "太原", "大同", "呼和浩特", "包头", "长春", "哈尔滨", "大庆", "南昌", "赣州", "南宁",
    "桂林", "柳州", "海口", "三亚", "贵阳", "遵义", "拉萨", "兰州", "西宁", "银川", "乌鲁木齐",
)  # fmt: skip

_SEPARATORS = re.compile(r"[\W_]+", re.UNICODE)
_BRACKETED = re.compile(r"[(\[【〔〈《]([^()\[\]【】〔〕〈〉《》]*)[)\]】〕〉》]")
# "城市", "市政" and the like are words, not places.
_ADMINISTRATIVE = re.compile(
    r"^(\w{2,9}?(?:省|自治区|特别行政区)|(?!城市)\w{2,4}?(?:市|自治州|区|县|旗)(?![政场民容域块]))"
)
_ENDING = re.compile(r"(?:省|市|(?:维吾尔|壮族|回族)?自治区|特别行政区|自治州|区|县|旗)$")
_BRANCHES = ("分公司", "分行", "支行", "办事处")
_FORM_OF_HEAD_OFFICE = re.compile("(?:有限责任|股份有限|有限)公司(?=.)")
# A name keeps its place where hardly anything would be left: "上海银行".
_LEAST = 3


@dataclass(frozen=True, slots=True)
class CompanyName:
    """`core`: brand and trade, without place and legal form; `places` bare: "上海", "历城"."""

    core: str
    places: frozenset[str]

    @property
    def canonical(self) -> str:
        """ "华东精密@上海"; the core alone where no place is named."""
        return "@".join([self.core, *sorted(self.places)])


def simplified(text: str) -> str:
    """Half width, lower case, simplified characters."""
    return unicodedata.normalize("NFKC", text).lower().translate(_characters())


def parse(text: str, forms: tuple[str, ...] = LEGAL_FORMS, places: tuple[str, ...] = PLACES) -> CompanyName:
    """The name of `text`; its core is empty only where nothing but blanks and signs was written."""
    return _parse(text, forms, places)


@lru_cache(maxsize=20_000)
def _parse(text: str, forms: tuple[str, ...], places: tuple[str, ...]) -> CompanyName:
    found: set[str] = set()
    outside = simplified(text)
    for inner in _BRACKETED.findall(outside):
        words = _joined(_without_form(inner, forms))
        core, named = _without_places(words, places, least=0)
        found |= named
        # What is neither place nor legal form says which of several it is: "(集团)", "(二期)".
        outside = _BRACKETED.sub(f" {core} " if len(core) < 4 else " ", outside, count=1)
    core, named = _without_places(_joined(_without_form(outside, forms)), places, least=_LEAST)
    return CompanyName(core, frozenset(found | named))


def _without_form(text: str, forms: tuple[str, ...]) -> str:
    words = _SEPARATORS.sub(" ", text).strip()
    if words.endswith(_BRANCHES):
        # "华东精密有限公司苏州分公司": the form of the head office says nothing about the branch either.
        return _FORM_OF_HEAD_OFFICE.sub("", words)
    endings = _endings(forms)
    while words.endswith(endings):
        ending = next(ending for ending in endings if words.endswith(ending))
        if len(ending) == len(words):
            break
        words = words.removesuffix(ending).strip()
    return words


def _without_places(words: str, places: tuple[str, ...], least: int) -> tuple[str, set[str]]:
    named: set[str] = set()
    while match := _ADMINISTRATIVE.match(words) or _bare(places).match(words):
        head = match[0]
        if len(words) - len(head) < least:
            break
        bare = _ENDING.sub("", head)
        named.add(bare if len(bare) > 1 else head)
        words = words.removeprefix(head)
    return words, named


def _joined(words: str) -> str:
    return words.replace(" ", "")


@lru_cache(maxsize=8)
def _endings(forms: tuple[str, ...]) -> tuple[str, ...]:
    """The longest first; Latin forms are whole words: "Costco" is no "Cost Co"."""
    written = (f" {form}" if form.isascii() else form for form in forms)
    return tuple(sorted(written, key=len, reverse=True))


@lru_cache(maxsize=8)
def _bare(places: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(sorted(map(re.escape, places), key=len, reverse=True)) or "(?!)")


@lru_cache(maxsize=1)
def _characters() -> dict[int, str]:
    """Every traditional character with its simplified one; character by character is enough for names."""
    convert = opencc.OpenCC("t2s").convert
    pairs = ((code, convert(chr(code))) for block in (range(0x3400, 0x4DC0), range(0x4E00, 0xA000)) for code in block)
    return {code: plain for code, plain in pairs if plain != chr(code)}
