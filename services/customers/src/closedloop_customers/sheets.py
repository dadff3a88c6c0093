"""Lists as sales people keep them (U14): how their columns are called, and what their words stand for.

Read by whoever reads such lists: `closedloop import`. A path is the contract's, without `profile`: "phone", "provenance.source".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, ClassVar

from google.protobuf.message import Message
from pydantic import Field, model_validator

from closedloop.customers.v1 import accounts_pb2, contacts_pb2, leads_pb2
from closedloop_chassis.rulebook.rules import Rules

Titles = tuple[Annotated[str, Field(min_length=1, max_length=100)], ...]

ROWS: Mapping[str, type[Message]] = {
    "lead": leads_pb2.LeadRow,
    "account": accounts_pb2.AccountRow,
    "contact": contacts_pb2.ContactRow,
}


class SheetRules(Rules):
    """Titles are read without blanks, stars, colons and what stands in brackets; of "手机/电话" the first that is known. Where
    several columns say one thing the title that stands first here is heard. Running numbers are no id: every list begins
    at 1."""

    rulebook: ClassVar[str] = "customers.sheets"

    lead: dict[str, Titles] = Field(
        default={
            "company_name": (
                "公司名称",
                "公司",
                "公司全称",
                "客户名称",
                "客户公司",
                "客户",
                "单位名称",
                "单位",
                "企业名称",
                "企业",
            ),
            "contact_name": ("联系人", "联系人姓名", "姓名", "客户姓名", "称呼"),
            "job_title": ("职务", "职位", "岗位"),
            "phone": (
                "手机",
                "手机号",
                "手机号码",
                "电话",
                "电话号码",
                "联系电话",
                "联系方式",
                "联系人电话",
                "固话",
                "座机",
            ),
            "email_address": ("邮箱", "电子邮箱", "电子邮件", "邮件", "Email", "E-mail"),
            "wechat_id": ("微信", "微信号"),
            "region_code": ("地区", "区域", "省份", "省", "城市", "所在地", "所在地区", "所在城市"),
            "industry": ("行业", "所属行业", "客户行业"),
            "need": ("需求", "需求描述", "客户需求", "咨询内容", "意向", "意向产品", "留言", "问题", "备注"),
            "budget": ("预算", "预算金额", "采购预算"),
            "expected_date": ("预计采购时间", "预计采购日期", "采购时间", "预计成交日期"),
            "campaign": ("活动", "活动名称", "市场活动", "推广计划", "渠道活动"),
            "provenance.source": ("来源", "线索来源", "客户来源", "渠道", "来源渠道"),
            "provenance.source_id": ("线索编号", "线索ID"),
            "owner_id": ("负责人", "销售", "业务员", "跟进人", "销售负责人"),
        }
    )
    account: dict[str, Titles] = Field(
        default={
            "name": ("公司名称", "公司", "客户名称", "客户", "客户简称", "单位名称", "单位", "企业名称", "门店名称"),
            "legal_name": ("工商名称", "注册名称", "公司全称", "开票名称", "法人名称", "营业执照名称"),
            "aliases": ("别名", "简称", "曾用名", "其他名称"),
            "credit_code": ("统一社会信用代码", "信用代码", "社会信用代码", "税号", "纳税人识别号"),
            "customer_type": ("客户类型", "客户性质", "客户类别"),
            "industry": ("行业", "所属行业", "客户行业"),
            "region_code": ("地区", "区域", "省份", "省", "城市", "所在地", "所在地区", "所在城市"),
            "address": ("地址", "详细地址", "公司地址", "注册地址", "通讯地址"),
            "phones": ("电话", "公司电话", "联系电话", "总机", "座机", "固话", "手机"),
            "domains": ("网址", "官网", "网站", "公司网址", "域名"),
            "employee_count": ("员工数", "人数", "员工人数", "人员规模", "公司人数"),
            "annual_revenue": ("年营业额", "营业额", "年收入", "年销售额"),
            "description": ("备注", "简介", "公司简介", "说明"),
            "provenance.source_id": ("客户编号", "客户编码", "客户ID"),
            "owner_id": ("负责人", "销售", "业务员", "客户经理", "销售负责人"),
            "parent_source_id": ("上级编号", "母公司编号", "上级客户编号"),
        }
    )
    contact: dict[str, Titles] = Field(
        default={
            "name": ("联系人", "联系人姓名", "姓名"),
            "job_title": ("职务", "职位", "岗位"),
            "department": ("部门", "所在部门"),
            "phones": ("手机", "手机号", "手机号码", "电话", "电话号码", "联系电话", "联系方式", "座机"),
            "email_addresses": ("邮箱", "电子邮箱", "电子邮件", "邮件", "Email", "E-mail"),
            "wechat_id": ("微信", "微信号"),
            "key_contact": ("关键联系人", "是否关键", "主要联系人"),
            "note": ("备注", "说明"),
            "account_source_id": ("公司名称", "公司", "客户名称", "客户", "单位名称", "客户编号", "客户编码"),
            "provenance.source_id": ("联系人编号", "联系人ID"),
        }
    )
    # By path what a word of the list stands for; industries, customer types and regions are known by the titles of
    # customers.codes besides.
    words: dict[str, dict[str, Annotated[str, Field(max_length=100)]]] = Field(
        default={
            "provenance.source": {
                "官网": "web_form", "网站": "web_form", "网页": "web_form", "表单": "web_form", "百度": "web_form",
                "微信": "wechat", "公众号": "wechat", "企业微信": "wechat", "电话": "phone", "来电": "phone", "400": "phone",
                "400电话": "phone", "邮件": "email", "邮箱": "email", "短信": "sms", "展会": "event", "会议": "event",
                "活动": "event", "沙龙": "event", "转介绍": "referral", "老客户介绍": "referral", "老客户推荐": "referral",
                "介绍": "referral", "渠道": "partner", "代理商": "partner", "经销商": "partner", "合作伙伴": "partner",
                "陌拜": "field", "地推": "field", "扫街": "field", "自拓": "field", "自开发": "field", "电销": "outbound_call",
                "抖音": "social", "小红书": "social", "视频号": "social", "直播": "social",
            },
            "industry": {
                "学校": "education", "高校": "education", "教培": "education", "政府机关": "government", "事业单位": "government",
                "医院": "medical", "卫生": "medical", "医药": "medical", "制造业": "manufacturing", "工业": "manufacturing",
                "机械": "manufacturing", "银行": "finance", "保险": "finance", "证券": "finance", "零售业": "retail",
                "商超": "retail", "电商": "retail", "互联网": "software", "IT": "software", "信息技术": "software",
                "运营商": "telecommunications", "电力": "energy", "能源电力": "energy", "物流": "transport",
                "交通运输": "transport",
                "服务业": "services", "建筑业": "construction", "房地产": "construction", "地产": "construction",
                "农业": "agriculture", "农林牧渔": "agriculture", "其它": "other",
            },
            "customer_type": {
                "重点客户": "key_account", "战略客户": "key_account", "代理商": "distributor", "小微企业": "small_business",
            },
            "key_contact": {"是": "true", "否": "false", "√": "true", "Y": "true", "N": "false"},
        }
    )  # fmt: skip
    # What amounts are in that name no currency.
    currency: str = Field(default="CNY", pattern="^[A-Z]{3}$")

    @model_validator(mode="after")
    def _fits(self) -> SheetRules:
        for kind, row in ROWS.items():
            columns: dict[str, Titles] = getattr(self, kind)
            for path in columns:
                if not _is_field(row, path):
                    raise ValueError(f"{kind}: the contract has no field {path}")
            told = Counter(title for titles in columns.values() for title in set(titles))
            if twice := sorted(title for title, count in told.items() if count > 1):
                raise ValueError(f"{kind}: {', '.join(twice)} would be two fields")
        return self


def _is_field(row: type[Message], path: str) -> bool:
    """Of the row, or of its profile."""
    first, *rest = path.split(".")
    profile = row.DESCRIPTOR.fields_by_name["profile"].message_type
    owner = row.DESCRIPTOR if first in row.DESCRIPTOR.fields_by_name else profile
    for name in (first, *rest):
        if owner is None or name not in owner.fields_by_name:
            return False
        owner = owner.fields_by_name[name].message_type
    return True
