"""A labelled set that was written before the rules it measures were last changed, and is looked at once, at their end.

Companies, schools, hospitals and offices, each record spelt in one of the ways of `WAYS`; every record says which, so
that what is missed can be told by way. Words, places and slips are none of `labelled_companies` or `unseen_companies`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import opencc

from .labelled_companies import credit_code

BRANDS = (
    "云内", "麦格米特", "聚飞", "信维", "洁美", "中颖", "雷赛", "怡合达", "斯莱克", "锐科", "金龙", "长盈", "通宇", "华测",
    "科陆", "英维克", "江丰", "强力", "阳光", "隆平", "京山", "东方", "友阿", "良信", "正泰", "天合", "福斯特", "捷佳",
    "晶盛", "柏楚", "帝尔", "联赢", "豪迈", "杰克", "石头", "追觅", "浙矿", "国茂", "绿的", "汉钟", "开山", "鲍斯",
)  # fmt: skip
TRADES = (
    "电源", "压缩机", "减速机", "轴承", "阀门", "电缆", "模具", "印刷", "服饰", "农业", "渔业", "茶业", "矿业", "测控",
    "光伏", "智能装备", "新能源", "生物技术", "医疗器械", "汽车部件", "供应链", "文化传媒", "检测技术", "环境科技",
)  # fmt: skip
# Province, town, district, code of the province, the first two of them in pinyin.
PLACES = (
    ("河南省", "洛阳", "涧西", "41", "Luoyang"), ("湖北省", "襄阳", "樊城", "42", "Xiangyang"),
    ("江苏省", "南通", "崇川", "32", "Nantong"), ("浙江省", "台州", "椒江", "33", "Taizhou"),
    ("山东省", "烟台", "芝罘", "37", "Yantai"), ("广东省", "惠州", "惠城", "44", "Huizhou"),
    ("陕西省", "宝鸡", "渭滨", "61", "Baoji"), ("云南省", "昆明", "官渡", "53", "Kunming"),
    ("贵州省", "遵义", "红花岗", "52", "Zunyi"), ("山西省", "大同", "平城", "14", "Datong"),
    ("福建省", "厦门", "集美", "35", "Xiamen"), ("安徽省", "合肥", "蜀山", "34", "Hefei"),
)  # fmt: skip
BODIES = (
    "第{n}中学", "第{n}小学", "第{n}人民医院", "实验小学", "妇幼保健院", "中医医院", "教育局", "财政局", "公安局",
    "职业技术学院", "图书馆", "疾病预防控制中心", "水务集团", "人民法院",
)  # fmt: skip
NUMBERS = "一二三四五六七八九"
FORMS = ("有限公司", "股份有限公司", "有限责任公司")
LOOKS = str.maketrans("电东农末申千王白贝田治士", "甩车衣未甲干玉自见由冶土")
SOUNDS = str.maketrans("东阳金华科长新光通隆强福盛联杰开天海立", "冬洋锦桦柯常欣广同龙墙富胜连捷凯田嗨力")
PINYIN = {
    "云": "Yun", "内": "Nei", "聚": "Ju", "飞": "Fei", "信": "Xin", "维": "Wei", "洁": "Jie", "美": "Mei", "金": "Jin",
    "龙": "Long", "通": "Tong", "宇": "Yu", "华": "Hua", "测": "Ce", "科": "Ke", "陆": "Lu", "江": "Jiang", "丰": "Feng",
    "强": "Qiang", "力": "Li", "阳": "Yang", "光": "Guang", "东": "Dong", "方": "Fang", "天": "Tian", "合": "He",
    "电": "Dian", "源": "Yuan", "模": "Mo", "具": "Ju", "印": "Yin", "刷": "Shua", "农": "Nong", "业": "Ye", "矿": "Kuang",
    "轴": "Zhou", "承": "Cheng", "阀": "Fa", "门": "Men", "开": "Kai", "山": "Shan", "国": "Guo", "茂": "Mao",
}  # fmt: skip
BEHIND = ("-老客户", "（意向）", "财务科", "后勤处", "项目组", "（重点）", "信息中心", "销售二部")

_traditional = opencc.OpenCC("s2t")
Place = tuple[str, str, str, str, str]


@dataclass(frozen=True, slots=True)
class Spelt:
    """One record of one company, and the way in which its name is spelt."""

    company: int
    way: str
    profile: dict[str, Any] = field(hash=False)


def _lost(name: str, dice: random.Random) -> str:
    at = dice.randrange(2, len(name) - 1)
    return name[:at] + name[at + 1 :]


def _swapped(name: str, dice: random.Random) -> str:
    at = dice.randrange(2, len(name) - 2)
    return name[:at] + name[at + 1] + name[at] + name[at + 2 :]


def _doubled(name: str, dice: random.Random) -> str:
    at = dice.randrange(len(name))
    return name[:at] + name[at] + name[at:]


SLIPS: dict[str, Callable[[str, random.Random], str]] = {
    "plain": lambda name, _: name,
    "traditional": lambda name, _: _traditional.convert(name),
    "spaced": lambda name, _: " ".join(name),
    "behind": lambda name, dice: name + dice.choice(BEHIND),
    "looks": lambda name, _: name.translate(LOOKS),
    "sounds": lambda name, dice: _once(name, SOUNDS, dice),
    "lost": _lost,
    "swapped": _swapped,
    "doubled": _doubled,
}
WAYS = (*SLIPS, "plain", "plain", "form", "form", "place", "place", "pinyin")


def _once(name: str, table: dict[int, Any], dice: random.Random) -> str:
    """One of the characters that sound like another is that other."""
    places = [at for at, character in enumerate(name) if ord(character) in table]
    if not places:
        return name
    at = dice.choice(places)
    return name[:at] + name[at].translate(table) + name[at + 1 :]


def _of_company(place: Place, core: str, form: str, way: str, dice: random.Random) -> str:
    province, town, district, _, latin = place
    if way == "pinyin" and all(character in PINYIN for character in core):
        words = "".join(PINYIN[character].lower() for character in core).capitalize()
        return dice.choice(
            (f"{latin} {words} Co., Ltd.", f"{words} ({latin}) Co., Ltd", f"{latin.upper()} {words.upper()}")
        )
    if way == "form":
        return town + core + dice.choice(("有限", "公司", "股份公司", "股份有限", "有限责任", "责任有限公司"))
    if way == "place":
        written = (
            f"{province}{town}{core}",
            f"{town}市{district}区{core}{form}",
            f"{core}{form}",
            f"{province[:2]}{core}{form}",
        )
        return dice.choice(written)
    name = dice.choice((town + core + form, f"{core}（{town}）{form}", f"{town}市{core}{form}", town + core))
    return SLIPS.get(way, SLIPS["plain"])(name, dice)


def _of_body(place: Place, body: str, way: str, dice: random.Random) -> str:
    """`body` with its number: "第三中学"; its short names in the ways "form" and "pinyin"."""
    province, town, *_ = place
    if way in ("form", "pinyin"):
        short = body.removeprefix("第").replace("人民医院", "院") if body.startswith("第") else body
        short = short[:-1] if short.endswith(("中学", "小学")) and body.startswith("第") else short
        digit = body.translate(str.maketrans(NUMBERS, "123456789"))
        return dice.choice((town + short, f"{town}市{digit}", f"{town}{digit}", f"{town}市{short}"))
    if way == "place":
        return dice.choice((f"{province}{town}市{body}", f"{town}{body}", f"{body}（{town}）"))
    return SLIPS.get(way, SLIPS["plain"])(f"{town}市{body}", dice)


def companies(count: int, seed: int) -> list[Spelt]:
    """One to five records of each; every fifth has a neighbour: the same name elsewhere, another number, another trade."""
    dice = random.Random(seed)
    found: list[Spelt] = []
    taken: set[tuple[str, str]] = set()
    number = 0
    while number < count:
        place, public = dice.choice(PLACES), dice.random() < 0.2
        first = _body(dice) if public else dice.choice(BRANDS) + dice.choice(TRADES)
        near = [_neighbour(place, first, public, dice)] if dice.random() < 0.2 else []
        for at, core in [(place, first), *near]:
            if (at[1], core) not in taken and number < count:
                taken.add((at[1], core))
                found += _records(number, at, core, public, dice)
                number += 1
    dice.shuffle(found)
    return found


def _body(dice: random.Random) -> str:
    return dice.choice(BODIES).format(n=dice.choice(NUMBERS))


def _neighbour(place: Place, core: str, public: bool, dice: random.Random) -> tuple[Place, str]:
    if dice.random() < 0.5:
        return dice.choice([other for other in PLACES if other != place]), core
    if public:
        return place, _body(dice)
    brand = next(brand for brand in sorted(BRANDS, key=len, reverse=True) if core.startswith(brand))
    return place, brand + dice.choice([trade for trade in TRADES if brand + trade != core])


def _records(number: int, place: Place, core: str, public: bool, dice: random.Random) -> list[Spelt]:
    whole: dict[str, Any] = {
        "credit_code": credit_code(dice),
        "domains": [f"h{number}.example.net.cn"],
        "phones": [f"0{dice.randint(311, 898)}-{dice.randint(2_000_000, 8_999_999)}"],
        "address": f"{place[1]}市{place[2]}区{dice.choice('春秋夏冬')}{dice.choice('风雨晓月')}大道{dice.randint(1, 400)}号",
    }
    form = dice.choice(FORMS)
    records = []
    for _ in range(dice.randint(1, 5)):
        known = {name: value for name, value in whole.items() if dice.random() < 0.3}
        if dice.random() < 0.4:
            known["region_code"] = place[3] + "0000"
        way = dice.choice(WAYS)
        name = _of_body(place, core, way, dice) if public else _of_company(place, core, form, way, dice)
        records.append(Spelt(number, way, {"name": name, **known}))
    return records
