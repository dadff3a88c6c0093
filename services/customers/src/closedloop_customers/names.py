"""Company names taken apart: where, who, in which legal form; so that one company written five ways is one name.

Width, case, blanks, punctuation, traditional characters, legal form and how a number is written never tell companies
apart; places do. A department or a remark behind a name or in brackets is kept aside; whatever else stands there says
which of several it is: "（东院）", "第二工程公司" behind the legal form.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import opencc
from anyascii import anyascii
from rapidfuzz import fuzz

from closedloop_customers import divisions

# Legal forms that do not tell companies apart, whole and as they are cut short; the longest that fits is cut off.
LEGAL_FORMS = (
    "有限责任公司", "股份有限公司", "责任有限公司", "有限公司", "股份公司", "总公司", "公司", "有限责任", "股份有限",
    "有限", "股份", "特殊普通合伙", "普通合伙", "有限合伙",
    "incorporated", "inc", "limited", "ltd", "corporation", "corp", "company", "co", "llc", "gmbh", "ag", "plc",
)  # fmt: skip
# Who has one of these and who has not are two, however alike the rest.
TELLING = (
    "集团", "公司", "分行", "支行", "办事处", "研究院", "研究所", "附属", "分校", "校区", "院区", "分院", "分厂", "工厂", "医院",
    "学院", "学校", "工会", "协会", "基金会", "门店", "分店", "项目部",
)  # fmt: skip
# Ends of names that are branches: whose form is the head office's, and who are other customers than it.
BRANCHES = ("分公司", "分行", "支行", "办事处")
# Ends of names of which one legal person may have several, each a customer of its own: "老张火锅王府井店".
SHOPS = (
    "店", "分公司", "分行", "支行", "办事处", "营业部", "营业厅", "门市部", "经营部", "专柜", "网点", "服务站", "加油站",
    "校区", "分校", "院区", "分院", "分厂", "项目部", "客户部",
)  # fmt: skip
# Parts of a company that are the same customer: "采购部", "信息中心", "销售二部".
DEPARTMENTS = (
    "采购", "销售", "市场", "营销", "技术", "研发", "财务", "行政", "人事", "人力资源", "工程", "质量", "品质", "生产", "设备",
    "信息", "后勤", "总务", "项目", "仓储", "运营", "客服", "法务", "综合", "基建", "教务", "招标", "办公",
)  # fmt: skip
# What sales note behind a name, alone or several in a row; it is no part of it: "（老客户）", "（已签约）", "（法人独资）".
REMARKS = (
    "客户", "用户", "老", "新", "大", "重点", "重要", "意向", "潜在", "目标", "战略", "优质", "普通", "一般", "已", "未", "待",
    "签约", "成交", "合作", "续签", "续约", "到期", "流失", "跟进", "在谈", "待定", "暂停", "停用", "作废", "测试", "试用", "重复",
    "总部", "本部", "总公司", "总店", "筹", "筹备", "筹建", "存续", "在业", "吊销", "注销", "清算", "国企", "央企", "民企", "民营",
    "国营", "外资", "合资", "独资", "控股", "国有", "法人", "自然人", "外商", "中外", "个体", "个体工商户", "上市", "简称", "全称",
    "法定名称", "vip", "集采", "代理", "代理商", "经销商", "供应商", "渠道", "伙伴", "甲方", "乙方",
)  # fmt: skip
# What another name of the same begins with: "（原天成精密）", "（简称华东）".
OTHER_NAMES = ("以下简称", "简称", "原名", "原称", "曾用名", "曾名", "又名", "别名", "旧称", "旧名", "前身", "原")
# What the name ends in when it is said in short, and in full.
SHORT_FORMS = {
    "附中": "附属中学", "附小": "附属小学", "实小": "实验小学", "疾控": "疾病预防控制中心", "疾控中心": "疾病预防控制中心",
    "妇幼": "妇幼保健院", "妇保院": "妇幼保健院", "法院": "人民法院", "中院": "中级人民法院", "检察院": "人民检察院",
    "发改委": "发展和改革委员会", "卫健委": "卫生健康委员会", "人社局": "人力资源和社会保障局", "人社厅": "人力资源和社会保障厅",
    "住建局": "住房和城乡建设局", "住建厅": "住房和城乡建设厅", "市监局": "市场监督管理局", "教体局": "教育和体育局",
    "师大": "师范大学", "师大附中": "师范大学附属中学", "师大附小": "师范大学附属小学",
    "文旅局": "文化和旅游局", "文旅厅": "文化和旅游厅", "中医院": "中医医院",
}  # fmt: skip
# Below: how Chinese is written and said, and how the parser reads. No company's affair, so in no rulebook; what it may see
# otherwise stands above.
# Characters that are taken for one another by eye; each group is read as its first.
LOOK_ALIKES = (
    "大太犬", "天夭", "未末", "土士", "己已巳", "人入", "日曰", "干千于", "王玉主", "白自", "田由甲申", "治冶", "刀力", "今令",
    "木本", "牛午", "泰秦", "住往", "拔拨", "晴睛", "即既", "候侯", "折拆析", "免兔", "历厉", "徒徙", "戊戌戍", "辨辩",
    "博搏", "楼搂", "圆园", "凤风", "呜鸣", "乌鸟", "毫亳",
)  # fmt: skip

# Readings in names that the table of characters has otherwise.
READINGS = {"长": "chang", "厦": "xia", "重庆": "chongqing", "陕西": "shaanxi", "西藏": "tibet"}

_SEPARATORS = re.compile(r"[\W_]+", re.UNICODE)
_BRACKETED = re.compile(r"[(\[【〔〈《]([^()\[\]【】〔〕〈〉《》]*)[)\]】〕〉》]")
_BETWEEN_CHARACTERS = re.compile(r"(?<=[一-鿿]) (?=[一-鿿])")
# A remark behind a dash: "华东精密-新客户".
_DASHED = re.compile(r"(?<=[一-鿿)])\s*[-—–~/|]+\s*([一-鿿]{2,8})\s*$")
# "城市", "市政" and the like are words, not places.
_ADMINISTRATIVE = re.compile(
    r"^(\w{2,9}?(?:省|自治区|特别行政区)|(?!城市)\w{2,4}?(?:市|自治州|区|县|旗)(?![政场民容域块]))"
)
_ENDING = re.compile(r"(?:省|市|(?:维吾尔|壮族|回族)?自治区|特别行政区|自治州|区|县|旗)$")
_FORM_WITHIN = re.compile("(?:有限责任|股份有限|责任有限|有限)公司(?=.)")
# A tail of nothing but these is a legal form, however it was typed.
_FORM_TAIL = re.compile("[有限责任公司股份]{3,9}$")
_OF_FORMS_ALONE = "有限责份股"
_LIKE_A_FORM = 75
_NUMERALS = "一二三四五六七八九"
_DIGITS = re.compile(
    r"第?([1-9]\d?)(?=(?:人民|中医|实验|高级|职业|附属)*(?:[中小](?:学|$|[^一-鿿])|医?院|幼儿园|监狱|[局厂所]))"
)
_ORDINAL = re.compile("第(?=[一二三四五六七八九十百])")
_NUMBERED = re.compile("[一二三四五六七八九十百][中小院]$")
_NUMBERED_IN_FULL = {"中": "中学", "小": "小学", "院": "人民医院"}
_TWICE = re.compile(r"([一-鿿])\1")
# A name keeps its place in the core too where hardly anything would be left: "上海银行".
_LEAST = 3


@dataclass(frozen=True)
class Lexicon:
    """What names are read by."""

    forms: tuple[str, ...] = LEGAL_FORMS
    provinces: tuple[tuple[str, tuple[str, ...]], ...] = tuple(divisions.PROVINCES.items())
    places: tuple[str, ...] = ()
    telling: tuple[str, ...] = TELLING
    departments: tuple[str, ...] = DEPARTMENTS
    short_forms: tuple[tuple[str, str], ...] = tuple(SHORT_FORMS.items())
    branches: tuple[str, ...] = BRANCHES
    shops: tuple[str, ...] = SHOPS
    remarks: tuple[str, ...] = REMARKS
    other_names: tuple[str, ...] = OTHER_NAMES

    @cached_property
    def endings(self) -> tuple[str, ...]:
        """The longest first; Latin forms are whole words: "Costco" is no "Cost Co"."""
        written = (f" {form}" if form.isascii() else form for form in self.forms)
        return tuple(sorted(written, key=len, reverse=True))

    @cached_property
    def province_of(self) -> dict[str, str]:
        """By bare place; of a place nobody knows the province of, ""."""
        known = dict.fromkeys(self.places, "")
        for province, towns in self.provinces:
            known |= dict.fromkeys((province, *towns), province)
        return known

    @cached_property
    def with_towns(self) -> frozenset[str]:
        return frozenset(province for province, towns in self.provinces if towns)

    @cached_property
    def latin(self) -> dict[str, str]:
        """Places by how they are written in Latin letters."""
        return {READINGS.get(place) or "".join(sounds(place)): place for place in self.province_of}

    @cached_property
    def bare(self) -> re.Pattern[str]:
        return re.compile("|".join(sorted(map(re.escape, self.province_of), key=len, reverse=True)) or "(?!)")

    @cached_property
    def department(self) -> re.Pattern[str]:
        words = "|".join(sorted(map(re.escape, self.departments), key=len, reverse=True)) or "(?!)"
        return re.compile(f"(?:{words})+[一二三四五]?(?:管理)?(?:部门|部|科|处|组|室|中心)$")

    @cached_property
    def remark(self) -> re.Pattern[str]:
        """Says nothing of which one it is: remarks, legal forms, numbers to call; another name of the same."""
        words = "|".join(sorted(map(re.escape, (*self.remarks, *self.forms)), key=len, reverse=True)) or "(?!)"
        others = "|".join(map(re.escape, self.other_names)) or "(?!)"
        return re.compile(f"(?:{words}| )+|(?:{others}).*|[0-9 ]{{5,}}")

    @cached_property
    def shortened(self) -> tuple[tuple[str, str], ...]:
        return tuple(sorted(self.short_forms, key=lambda pair: -len(pair[0])))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        told = (
            self.forms,
            self.provinces,
            self.places,
            self.telling,
            self.departments,
            self.short_forms,
            self.branches,
            self.shops,
            self.remarks,
            self.other_names,
        )
        return hash(told)


LEXICON = Lexicon()


@dataclass(frozen=True, slots=True)
class CompanyName:
    """`core`: brand and trade, without place and legal form; `places` bare: "上海", "历城"; `province` the one they lie in,
    where that is known; `towns` those below it; `aside` what stood behind the name: "采购部"; `which` what stood there and
    says which of several it is: "王府井店"; `shop`: one legal person may have several such."""

    core: str
    places: frozenset[str]
    which: str = ""
    province: str = field(default="", compare=False)
    towns: frozenset[str] = field(default=frozenset(), compare=False)
    aside: str = field(default="", compare=False)
    shop: bool = field(default=False, compare=False)

    @property
    def canonical(self) -> str:
        """ "华东精密@上海"; the core alone where no place is named; "海底捞#王府井店" where it says which of several."""
        return "@".join([self.core, *sorted(self.places)]) + (f"#{self.which}" if self.which else "")


def simplified(text: str) -> str:
    """Half width, lower case, simplified characters."""
    return unicodedata.normalize("NFKC", text).lower().translate(_characters())


def parse(text: str, lexicon: Lexicon = LEXICON) -> CompanyName:
    """The name of `text`; its core is empty only where nothing but blanks and signs was written."""
    return _parse(text, lexicon)


def places(text: str, lexicon: Lexicon = LEXICON) -> tuple[str, ...]:
    """The places an address begins with, the widest first."""
    return tuple(_without_places(_words(simplified(text)), lexicon, least=0)[1])


@lru_cache(maxsize=50_000)
def _parse(text: str, lexicon: Lexicon) -> CompanyName:
    outside, inside, aside, beside = simplified(text), [], "", list[str]()
    if dashed := _DASHED.search(outside):
        outside = f"{outside[: dashed.start()]}({dashed[1]})"
    for inner in _BRACKETED.findall(outside):
        words = _without_form(_words(inner), lexicon)
        core, named = _beside(words, lexicon)
        # What is known to say which of several it is belongs to the name: "(集团)", "(二期)".
        kept = any(word in core for word in lexicon.telling) or core[:1] in tuple(_NUMERALS)
        if kept or not core or _is_remark(core, lexicon):
            inside += named
            aside = aside if kept else core or aside
        else:
            beside.append(words)
        outside = _BRACKETED.sub(f" {core} " if kept else " ", outside, count=1)
    words, behind, rest = _body(_words(outside) or _words(simplified(text)), lexicon)
    if rest:
        core, named = _beside(rest, lexicon)
        if core:
            beside.append(rest)
        else:
            inside += named
    core, named = _without_places(words, lexicon, least=_LEAST)
    found = frozenset((*named, *inside))
    province = next((lexicon.province_of[place] for place in (*named, *inside) if lexicon.province_of.get(place)), "")
    # A city that is a province is both.
    towns = found - {province} if province in lexicon.with_towns else found
    which = [_ORDINAL.sub("", one.replace(" ", "")) for one in beside if not _says_it_again(one, words)]
    shop = bool(which) or core.endswith(lexicon.shops)
    return CompanyName(core, found, "/".join(which), province, towns, behind or aside, shop)


def _beside(words: str, lexicon: Lexicon) -> tuple[str, list[str]]:
    """What is more than places, and those; "株洲市市", a character struck twice, is no more."""
    core, named = _without_places(words, lexicon, least=0)
    once = _without_places(_TWICE.sub(r"\1", words), lexicon, least=0) if core and named else ("", [])
    return once if once[1] and not once[0] else (core, named)


def _is_remark(words: str, lexicon: Lexicon) -> bool:
    return bool(lexicon.remark.fullmatch(words) or lexicon.department.fullmatch(words))


def _says_it_again(words: str, name: str) -> bool:
    """Part of the name, or how it is written in Latin letters: "海尔（Haier）"."""
    first, whole = words.partition(" ")[0], words.replace(" ", "")
    if first.isascii() and not name.isascii():
        return len(first) >= _LEAST and first in said(name)
    return len(whole) > 1 and whole in name


def _body(words: str, lexicon: Lexicon) -> tuple[str, str, str]:
    """Without legal form, numbers and short forms in full; and what stood behind it: a remark, or which of several."""
    if words.isascii():
        return _without_form(words, lexicon), "", ""
    words, behind, rest = _without_behind(_without_form(words, lexicon), lexicon)
    words = _ORDINAL.sub("", _DIGITS.sub(lambda found: _numeral(int(found[1])), words.replace(" ", "")))
    if _NUMBERED.search(words):
        words = words[:-1] + _NUMBERED_IN_FULL[words[-1]]
    for short, full in lexicon.shortened:
        if words.endswith(short) and not words.endswith(full):
            return words.removesuffix(short) + full, behind, rest
    return words, behind, rest


def _without_behind(words: str, lexicon: Lexicon) -> tuple[str, str, str]:
    within = _FORM_WITHIN.search(words)
    if within and within.start() > 1:
        rest = words[within.end() :].strip()
        if _is_remark(rest, lexicon):
            return words[: within.start()], rest, ""
        if not rest.endswith(lexicon.branches) and not any(word in rest for word in lexicon.telling):
            return words[: within.start()], "", rest
        # "华东精密有限公司苏州分公司": the form of the head office says nothing about the branch either.
        return _FORM_WITHIN.sub("", words), "", ""
    department = lexicon.department.search(words)
    if department and department.start() >= _LEAST:
        return _without_form(words[: department.start()].strip(), lexicon), department[0], ""
    return words, "", ""


def _without_form(words: str, lexicon: Lexicon) -> str:
    if words.endswith(lexicon.branches):
        return words
    words = _without_mistyped_form(words, lexicon)
    while words.endswith(lexicon.endings):
        ending = next(ending for ending in lexicon.endings if words.endswith(ending))
        if len(ending) == len(words):
            break
        words = words.removesuffix(ending).strip()
    return words


def _without_mistyped_form(words: str, lexicon: Lexicon) -> str:
    """A form with a character lost, struck twice or in the wrong place: "有限司", "有有限公司", "份股有限公司"."""
    tail = _FORM_TAIL.search(words)
    if tail is None or tail.start() < _LEAST - 1 or tail[0] in lexicon.forms:
        return words
    exact = max((form for form in lexicon.forms if tail[0].endswith(form)), key=len, default="")
    over = tail[0].removesuffix(exact)
    # One character over may be the brand's: "大公有限公司".
    if len(over) == 1 and over not in _OF_FORMS_ALONE:
        return words
    return words[: tail.start()] if max(fuzz.ratio(tail[0], form) for form in lexicon.forms) >= _LIKE_A_FORM else words


def _without_places(words: str, lexicon: Lexicon, least: int) -> tuple[str, list[str]]:
    if words.isascii():
        first, _, rest = words.partition(" ")
        if first in lexicon.latin and (rest or not least):
            return rest.replace(" ", ""), [lexicon.latin[first]]
        return words.replace(" ", ""), []
    words, named, province = words.replace(" ", ""), list[str](), ""
    while found := _place(words, lexicon):
        head, bare, where = found
        # "上海安康医疗": a town of another province is a brand.
        if where and province and where != province:
            break
        province = province or where
        named.append(bare)
        if len(words) - len(head) < least:
            break
        words = words.removeprefix(head)
    # "市第三中学": its town goes without saying.
    if not named and words[:1] == "市" and words[1:2] in tuple(_NUMERALS):
        words = words[1:]
    return words, named


def _place(words: str, lexicon: Lexicon) -> tuple[str, str, str] | None:
    """As written, bare, and its province where that is known."""
    if match := _ADMINISTRATIVE.match(words):
        bare = _ENDING.sub("", match[0])
        bare = _once(bare, lexicon) if len(bare) > 1 else match[0]
        return match[0], bare, lexicon.province_of.get(bare, "") if match[0].endswith(("省", "市", "自治区")) else ""
    if match := lexicon.bare.match(words):
        return match[0], match[0], lexicon.province_of[match[0]]
    # "洛洛阳": a character struck twice.
    twice = _TWICE.search(words[:4])
    match = lexicon.bare.match(words[: twice.start()] + words[twice.start() + 1 :]) if twice else None
    if twice and match and twice.start() < len(match[0]):
        return words[: len(match[0]) + 1], match[0], lexicon.province_of[match[0]]
    return None


def _once(bare: str, lexicon: Lexicon) -> str:
    single = _TWICE.sub(r"\1", bare)
    return single if bare not in lexicon.province_of and single in lexicon.province_of else bare


def _words(text: str) -> str:
    """Without punctuation; blanks stay between Latin words only."""
    return _BETWEEN_CHARACTERS.sub("", _SEPARATORS.sub(" ", text).strip())


def _numeral(number: int) -> str:
    tens, ones = divmod(number, 10)
    return ("" if tens == 0 else "十" if tens == 1 else f"{_NUMERALS[tens - 1]}十") + (
        _NUMERALS[ones - 1] if ones else ""
    )


@lru_cache(maxsize=50_000)
def skeleton(core: str) -> str:
    """One spelling of what the eye or the finger takes for one another: look-alikes, a character struck twice."""
    return _TWICE.sub(r"\1", core.translate(_looks()))


@lru_cache(maxsize=50_000)
def sounds(core: str) -> tuple[str, ...]:
    """How each character is said, without tones: ("hua", "dong"); a letter or digit is itself."""
    return tuple(READINGS.get(character) or anyascii(character).lower() for character in core)


@lru_cache(maxsize=50_000)
def said(core: str) -> str:
    """The same in one word: "huadong"."""
    return "".join(sounds(core))


@lru_cache(maxsize=1)
def _looks() -> dict[int, str]:
    return {ord(other): group[0] for group in reversed(LOOK_ALIKES) for other in group[1:]}


@lru_cache(maxsize=1)
def _characters() -> dict[int, str]:
    """Every traditional character with its simplified one; character by character is enough for names."""
    convert = opencc.OpenCC("t2s").convert
    pairs = ((code, convert(chr(code))) for block in (range(0x3400, 0x4DC0), range(0x4E00, 0xA000)) for code in block)
    return {code: plain for code, plain in pairs if plain != chr(code)}
