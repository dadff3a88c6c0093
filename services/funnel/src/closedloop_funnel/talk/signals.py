"""Keywords, and what speaks for buying or leaving, unless a company says otherwise; Chinese first."""

from __future__ import annotations

from closedloop_funnel.talk.phrases import Catalogue, said

KEYWORDS: Catalogue = {
    "price": {"name": "价格", "heard": said("价格", "报价", "单价", "折扣", "优惠", "price", "quote", "discount")},
    "budget": {"name": "预算", "heard": said("预算", "经费", "资金", "budget", "funding")},
    "competitor": {"name": "竞品", "heard": said("竞品", "同行", "别家", "另一家", "competitor", "other vendor")},
    "delivery": {"name": "交期", "heard": said("交期", "交货", "到货", "工期", "delivery", "lead time")},
    "quality": {"name": "质量", "heard": said("质量", "故障", "不良率", "稳定性", "quality", "defect", "downtime")},
    "service": {
        "name": "服务",
        "heard": said("售后", "维保", "备件", "培训", "after-sales", "maintenance", "support"),
    },
    "decision": {
        "name": "决策",
        "heard": said("董事会", "审批", "拍板", "立项", "招标", "board", "approval", "tender"),
    },
    "trial": {
        "name": "试用",
        "heard": said("试用", "试点", "样机", "样品", "演示", "trial", "pilot", "demo", "sample"),
    },
    "contract": {"name": "合同", "heard": said("合同", "付款", "条款", "违约", "contract", "payment", "terms")},
}

INTENTS: Catalogue = {
    "asks_terms": {
        "name": "问成交条件",
        "weight": 0.6,
        "heard": said(
            "怎么付款",
            "什么时候能到货",
            "多久能装",
            "怎么签",
            "合同发",
            "发合同",
            "how do we sign",
            "send the contract",
            "when can you deliver",
            "how soon",
            patterns=(
                r"(?:什么时候|多久|最快)[^，。！？\n]{0,8}(?:到货|交货|上线|安装|进场|开工)",
                r"合同[^，。！？\n]{0,6}(?:发|寄|走|签|准备)",
            ),
        ),
    },
    "agrees": {
        "name": "认可",
        "weight": 0.5,
        "heard": said(
            "可以接受",
            "没问题",
            "挺好",
            "不错",
            "很满意",
            "认可",
            "同意",
            "就这么定",
            "sounds good",
            "looks good",
            "we agree",
            "let's do it",
            "impressed",
            unless=("不认可", "不同意", "不满意"),
        ),
    },
    "next_meeting": {
        "name": "约下一步",
        "weight": 0.4,
        "heard": said(
            "来现场",
            "过来演示",
            "安排演示",
            "约个时间",
            "见一面",
            "带上工程师",
            "let's meet",
            "schedule a demo",
            "come over",
            "set up a call",
            patterns=(
                r"(?:下周|周[一二三四五]|明天|后天|下个?月)[^，。！？\n]{0,10}(?:来|过来|见|谈|碰|演示|开会|试)",
            ),
        ),
    },
    "internal": {
        "name": "内部推动",
        "weight": 0.5,
        "heard": said(
            "走流程", "报上去", "立项", "预算批", "已经批", "approved the budget", "got approval", "internal process"
        ),
    },
    "refuses": {
        "name": "拒绝",
        "weight": -0.9,
        "heard": said(
            "不考虑",
            "不需要",
            "算了",
            "别再打",
            "不要再",
            "没兴趣",
            "不感兴趣",
            "not interested",
            "stop calling",
            "no thanks",
            "forget it",
        ),
    },
    "stalls": {
        "name": "推托",
        "weight": -0.4,
        "heard": said(
            "再说吧",
            "再看看",
            "以后再说",
            "考虑考虑",
            "没空",
            "在忙",
            "think about it",
            "busy right now",
            "maybe later",
        ),
    },
    "complains": {
        "name": "不满",
        "weight": -0.6,
        "heard": said(
            "失望",
            "太差",
            "投诉",
            "不满意",
            "受不了",
            "浪费时间",
            "disappointed",
            "complain",
            "unacceptable",
            "waste of time",
        ),
    },
}

CHURN: Catalogue = {
    "leaves": {
        "name": "说要离开",
        "weight": 0.75,
        "heard": said(
            "不续",
            "不再续",
            "到期就",
            "解约",
            "终止合同",
            "换供应商",
            "换一家",
            "换别家",
            "不合作了",
            "cancel the contract",
            "not renew",
            "won't renew",
            "switch vendor",
            "switch supplier",
            "terminate",
            patterns=(
                r"(?:打算|准备|考虑|决定)[^，。！？\n]{0,8}(?:换|撤|停用|下线|迁)",
                r"(?:不打算|不准备|不想|不会)[^，。！？\n]{0,6}(?:续|再签|再用|再合作)|不再(?:续|签|用)",
                r"(?:moving|switching|migrating|move|switch|migrate)\b[^.!?\n]{0,20}\b(?:to|away)",
            ),
        ),
    },
    "uses_less": {
        "name": "用得少了",
        "weight": 0.45,
        "heard": said(
            "用得少",
            "很少用",
            "停用",
            "没人用",
            "减少采购",
            "砍掉",
            "barely use",
            "stopped using",
            "reduce the order",
            "cut back",
            patterns=(
                r"(?:订单|用量|采购量|席位)[^，。！？\n]{0,8}(?:减|砍|少|降)",
                r"(?:开不了几|用不了几|没怎么用|不怎么用|几乎不用|闲置)",
                r"\b(?:hardly|rarely|barely|seldom)\b[^.!?\n]{0,12}\b(?:use|log|open|run)",
            ),
        ),
    },
    "complaint": {
        "name": "反复投诉",
        "weight": 0.4,
        "heard": said(
            "又坏了",
            "老出问题",
            "一直没解决",
            "投诉",
            "修了几次",
            "没人理",
            "still not fixed",
            "keeps failing",
            "complaint",
            patterns=(
                r"(?:第[二三四五]次|三番五次|反复|老是|总是)[^，。！？\n]{0,10}(?:坏|停|出|错|故障|报修)",
                r"(?:反复|又|还是)[^，。！？\n]{0,4}(?:出|坏|犯|一样)|同一个(?:毛病|问题|故障)",
                r"\b(?:keeps?|again|still)\b[^.!?\n]{0,12}\b(?:break|breaking|fail|failing|down|crash)",
            ),
        ),
    },
    "sponsor_leaves": {
        "name": "支持者离开",
        "weight": 0.4,
        "heard": said(
            "调走了",
            "离职了",
            "新来的领导",
            "换了负责人",
            "新负责人",
            "left the company",
            "new manager",
            "new management",
        ),
    },
    "rival_in": {
        "name": "竞品进来了",
        "weight": 0.45,
        "heard": said(
            "他们在试",
            "已经在试用",
            "别家在试",
            "竞品在",
            "testing another",
            "piloting another",
            "trial with another",
            patterns=(
                r"(?:别家|另一家|竞品|他们家|对手)[^，。！？\n]{0,8}(?:试|测|进场|免费|送)",
                r"\b(?:another|other|competing)\b[^.!?\n]{0,15}\b(?:trial|pilot|test)",
            ),
        ),
    },
}
