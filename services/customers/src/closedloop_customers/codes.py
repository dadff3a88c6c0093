"""The company's codes: industries, customer types and regions, and what can be derived where one is missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from closedloop_chassis import errors
from closedloop_chassis.org.snapshot import OrgSnapshot
from closedloop_chassis.rulebook.rules import Rules

# GB/T 2260, provinces by their first two digits.
PROVINCES = {
    "11": "北京", "12": "天津", "13": "河北", "14": "山西", "15": "内蒙古", "21": "辽宁", "22": "吉林", "23": "黑龙江",
    "31": "上海", "32": "江苏", "33": "浙江", "34": "安徽", "35": "福建", "36": "江西", "37": "山东", "41": "河南",
    "42": "湖北", "43": "湖南", "44": "广东", "45": "广西", "46": "海南", "50": "重庆", "51": "四川", "52": "贵州",
    "53": "云南", "54": "西藏", "61": "陕西", "62": "甘肃", "63": "青海", "64": "宁夏", "65": "新疆", "71": "台湾",
    "81": "香港", "82": "澳门",
}  # fmt: skip
# Area codes of landlines that belong to one province.
AREA_CODES = {
    "010": "11", "020": "44", "021": "31", "022": "12", "023": "50", "024": "21", "025": "32", "027": "42", "028": "51",
    "029": "61", "0311": "13", "0351": "14", "0371": "41", "0411": "21", "0431": "22", "0451": "23", "0512": "32",
    "0531": "37", "0532": "37", "0551": "34", "0571": "33", "0574": "33", "0591": "35", "0592": "35", "0731": "43",
    "0755": "44", "0771": "45", "0791": "36", "0851": "52", "0871": "53", "0898": "46", "0931": "62", "0991": "65",
}  # fmt: skip
INDUSTRIES = {
    "education": "教育", "government": "政府", "medical": "医疗", "manufacturing": "制造", "finance": "金融",
    "retail": "零售", "technology": "科技", "software": "软件", "telecommunications": "通信", "energy": "能源",
    "transport": "交通", "services": "服务", "construction": "建筑", "agriculture": "农业", "marketing": "营销",
    "entertainment": "文娱", "employment": "人力资源", "other": "其他",
}  # fmt: skip

CUSTOMER_TYPES = {
    "key_account": "大客户", "government": "政府", "distributor": "经销商", "enterprise": "企业",
    "small_business": "小微", "partner": "伙伴", "individual": "个人",
}  # fmt: skip
# Towns by their province.
PLACES = {
    "深圳": "44", "广州": "44", "苏州": "32", "南京": "32", "杭州": "33", "宁波": "33", "青岛": "37", "济南": "37",
    "成都": "51", "武汉": "42", "西安": "61", "沈阳": "21", "大连": "21", "厦门": "35", "长沙": "43", "郑州": "41",
}  # fmt: skip


class CodeRules(Rules):
    """A code stands for all below it: "manufacturing" for "manufacturing.automotive", "31" for "310115"."""

    rulebook: ClassVar[str] = "customers.codes"

    industries: dict[str, str] = INDUSTRIES
    customer_types: dict[str, str] = CUSTOMER_TYPES
    regions: dict[str, str] = PROVINCES
    # Regions outside China: ISO 3166 country, perhaps with its subdivision.
    foreign_region: str = "^[A-Z]{2}(-[A-Z0-9]{1,3})?$"
    area_codes: dict[str, str] = AREA_CODES
    # Names in company names and addresses that tell the region, besides the regions' own names.
    places: dict[str, str] = PLACES


def covers(code: str, wanted: str) -> bool:
    """Whether `code` is `wanted` or stands for it; six-digit division codes end in zeros for what is below them."""
    if code == wanted:
        return True
    if code.isdigit() and wanted.isdigit():
        stem = code
        while len(stem) > 2 and stem.endswith("00"):
            stem = stem[:-2]
        return wanted.startswith(stem)
    return wanted.startswith((code + ".", code + "-"))


def check(profile: Mapping[str, Any], rules: CodeRules, org: OrgSnapshot, path: str = "profile") -> None:
    """Raises InvalidArgument UNKNOWN_CODE for a code neither the rulebook nor a territory of the organisation names."""
    region = profile.get("region_code", "")
    wrong = {}
    if region and not (_known(region, rules.regions, org, "regions") or re.match(rules.foreign_region, region)):
        wrong["region_code"] = region
    industry = profile.get("industry", "")
    if industry and not _known(industry, rules.industries, org, "industries"):
        wrong["industry"] = industry
    kind = profile.get("customer_type", "")
    if kind and not any(covers(code, kind) for code in rules.customer_types):
        wrong["customer_type"] = kind
    if wrong:
        raise errors.InvalidArgument(
            "UNKNOWN_CODE",
            f"customers.codes does not know {', '.join(wrong.values())}",
            {f"{path}.{field}": f"unknown code {code}" for field, code in wrong.items()},
        )


def region_of(profile: Mapping[str, Any], rules: CodeRules) -> str:
    """The region as far as address, company name or landline tell it; empty where they do not."""
    text = f"{profile.get('address', '')} {profile.get('company_name', '')} {profile.get('name', '')}"
    named = {name: code for code, name in rules.regions.items()} | rules.places
    earliest = min(((text.index(name), code) for name, code in named.items() if name in text), default=(0, ""))[1]
    if earliest:
        return _whole(earliest)
    for number in (profile.get("phone", ""), *profile.get("phones", ())):
        local = number.replace("+86", "0", 1).replace("-", "").replace(" ", "")
        area = next((area for area in sorted(rules.area_codes, key=len, reverse=True) if local.startswith(area)), "")
        if area:
            return _whole(rules.area_codes[area])
    return ""


def _whole(province: str) -> str:
    return province.ljust(6, "0") if province.isdigit() else province


def _known(code: str, listed: Mapping[str, str], org: OrgSnapshot, kind: str) -> bool:
    if code in listed or any(covers(known, code) for known in listed):
        return True
    return any(covers(known, code) for unit in org.units.values() for known in unit.territory.get(kind, ()))
