"""Conversations with what is in them, written in other words than the catalogue's (S48, S49).

`PRACTICE` may be looked at while rules are written; `HELD_OUT` is only measured. Neither was made from the catalogue's
phrases: customers talk around a thing, say it with a figure, or by a proverb. Each scene is a few turns with its labels;
decoys sound like a class and are none. A conversation is some scenes between small talk, opened and closed well or badly.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from closedloop_funnel.talk.listening import Said

# "c:" the customer speaks, "s:" the seller. What a sentence means, by objection.
Spoken = dict[str, tuple[str, ...]]

PRACTICE: Spoken = {
    "objection/price": (
        "你这个数我没法跟财务交代，比去年那批贵了三成。",
        "说实话报价有点吓人，我们小厂吃不消。",
        "能不能再低一点，不然没法往下谈。",
        "Honestly the price is way above what we planned.",
        "That's a lot of money for one line.",
    ),
    "objection/competitor": (
        "我们手上还有两份方案在看，一个是苏州的，一个是德国的。",
        "隔壁厂用的是另外一个牌子，听说也可以。",
        "其他厂家给的配置跟你们差不多。",
        "We're also talking to two other suppliers.",
    ),
    "objection/timing": (
        "今年肯定来不及上了，等年后看情况再议。",
        "手头项目太多，这事得往后排。",
        "等新厂房盖好再考虑吧。",
        "Let's push this to next quarter.",
    ),
    "objection/authority": (
        "这个金额要上会，我一个人拍不了板。",
        "得看我们总经理的意思。",
        "采购委员会那边还没过。",
        "I'd need approval from our director for that.",
    ),
    "objection/need": (
        "老设备还能跑几年，没想着换。",
        "目前这套系统用得好好的。",
        "我们产量小，犯不着上这个。",
        "What we have works fine for us.",
    ),
    "objection/trust": (
        "你们公司成立才三年吧，万一以后不做了怎么办。",
        "担心你们实力撑不起这么大的项目。",
        "I'm not convinced a small vendor can pull this off.",
    ),
    "objection/fit": (
        "你们的接口跟我们的MES不支持吧。",
        "我们的料又粘又湿，普通机器干不了。",
        "It won't work with our old PLCs.",
    ),
    "objection/delivery": (
        "三个月才到货太久了，我们八月就要投产。",
        "工期排得这么长，订单等不起。",
        "Sixteen weeks lead time is too long for us.",
    ),
    "objection/service": (
        "上次那家设备坏了三天才来人，我怕你们也这样。",
        "你们在我们这边没有服务网点，响应太慢。",
        "Who's going to fix it at two in the morning?",
    ),
    "objection/terms": (
        "预付五成太高了，公司制度最多三成。",
        "质保只有一年，这条要改。",
        "We can't accept those payment terms.",
    ),
    "objection/incumbent": (
        "我们跟现在这家已经合作了十年。",
        "年初刚跟人家签了框架协议。",
        "We already have a supplier we're happy with.",
    ),
    "churn/leaves": (
        "这份服务合同到年底就不打算再签了。",
        "老板在考虑把你们的系统撤掉。",
        "We're thinking of moving to another platform.",
    ),
    "churn/uses_less": ("现在一个月也开不了几次机。", "今年的订单要减一半。", "Our people hardly log in any more."),
    "churn/complaint": (
        "这个月第三次报修了。",
        "同一个毛病反复出，班组意见很大。",
        "It keeps breaking down every week.",
    ),
    "churn/sponsor_leaves": ("王总上个月调走了，新来的经理想法不一样。", "The guy who bought it left the company."),
    "churn/rival_in": ("另一家免费送了一台给我们在车间试着。", "Another vendor is running a trial here."),
}

HELD_OUT: Spoken = {
    "objection/price": (
        "这笔钱我们拿不出来。",
        "同样的东西，网上一半的钱就能买到。",
        "这个价位已经超了我们的盘子。",
        "您这报得也太狠了，砍两刀还差不多。",
        "费用这块压力很大。",
        "We simply can't afford it.",
        "The numbers don't work for us at this price, it's too steep.",
    ),
    "objection/competitor": (
        "昨天三一的人也来过，给的条件挺好。",
        "我们一般要找三个供应商报价。",
        "你和海康那套比，强在哪里？",
        "同类产品我看了不少。",
        "Your rival offered the same thing last week.",
        "We have a bid from someone else.",
    ),
    "objection/timing": (
        "最近在忙搬厂，顾不上这个。",
        "这个季度先不动，年底再看。",
        "眼下不是时候。",
        "计划排到明年去了。",
        "We'd rather wait until the new budget year.",
        "It's on hold for now.",
    ),
    "objection/authority": (
        "最后还是要集团点头。",
        "我只负责技术，采购不归我定。",
        "要开会讨论，不是我说了算。",
        "老总没发话，我不好表态。",
        "It's up to the CFO, not me.",
        "My boss has the final say.",
    ),
    "objection/need": (
        "我们人工干也挺快，机器没多大用。",
        "这功能对我们是多余的。",
        "暂时没有这方面的打算。",
        "We're doing fine without it.",
        "I don't see why we'd need this.",
    ),
    "objection/trust": (
        "你们这牌子我头一回听到。",
        "做过我们这行的没有？我心里没底。",
        "宣传上说得好听，谁知道真假。",
        "How do I know you'll still be around in five years?",
    ),
    "objection/fit": (
        "我们车间温度高，你们的机器扛不住。",
        "精度差两丝，验收过不了。",
        "跟金蝶那边数据打不通。",
        "Our throughput is higher than what your machine can handle.",
    ),
    "objection/delivery": (
        "下个月就要开线，你们供货赶得及吗，太晚了。",
        "要等十几周，黄花菜都凉了。",
        "能不能快点，交货拖到九月不行。",
        "We need it by May and you're quoting September.",
    ),
    "objection/service": (
        "买之前是大爷，买之后打电话都没人接。",
        "备件要从国外调，停一天几十万。",
        "你们维修队离我们六百公里。",
        "Your support never picks up the phone.",
    ),
    "objection/terms": (
        "验收以后再付尾款，不然不签。",
        "账期至少九十天。",
        "违约那条写得太苛刻。",
        "Thirty percent down is not going to fly with our finance team.",
    ),
    "objection/incumbent": (
        "我们一直是老张他们厂供的，关系很熟。",
        "今年的份额都给出去了。",
        "换供应商要重新认证，太折腾。",
        "We've been with our supplier for a decade.",
    ),
    "churn/leaves": (
        "下个月起我们就用别人的了。",
        "续费的事先停一停，可能不做了。",
        "我们已经在走退出流程。",
        "We won't be extending the subscription.",
    ),
    "churn/uses_less": (
        "买来的账号一多半闲着。",
        "机器在角落里落灰。",
        "采购量今年降了不少。",
        "Usage has dropped to almost nothing.",
    ),
    "churn/complaint": (
        "报了五回了还是老样子。",
        "你们的人来了又走，问题还在。",
        "总是半夜停机，工人都骂。",
        "This is the fourth ticket for the same fault.",
    ),
    "churn/sponsor_leaves": (
        "当初拍板的陈总退休了。",
        "部门重组，现在归别人管。",
        "Our old director retired last month.",
    ),
    "churn/rival_in": (
        "对面公司的样机已经摆在二号车间了。",
        "有家厂商给我们做了个免费试点。",
        "We've got your competitor's unit running side by side.",
    ),
}

# Sellers' turns; those that answer go without label.
RISKY: dict[str, dict[str, tuple[tuple[str, ...], ...]]] = {
    "practice": {
        "overpromises": (("s:您放心，这机器绝对不会坏。",), ("s:I guarantee you will never see a fault.",)),
        "disparages_competitor": (
            ("s:他们那东西质量差得很，用半年就报废。",),
            ("s:Their machines are junk, everybody knows.",),
        ),
        "discount_unprompted": (("s:您要是定，我给您再便宜两个点。",), ("s:I can give you a discount right away.",)),
        "does_not_know": (
            ("c:防护等级是多少？", "s:这个我不太清楚。"),
            ("c:Does it run on Linux?", "s:I don't know, to be honest."),
        ),
        "pressures": (("s:今天不签这个价就没有了。",), ("s:This offer is today only.",)),
        "passes_blame": (
            ("c:上次发错货怎么说？", "s:那是物流部门的问题。"),
            ("c:The invoice was wrong.", "s:That's not my department."),
        ),
        "avoids_price_objection": (
            ("c:报价太高了，我们吃不消。", "s:嗯，我先给您看看外观。", "c:好吧。", "s:颜色有三种可以选。"),
        ),
        "pain_not_explored": (
            ("c:换线太慢，天天积压，很头疼。", "s:嗯嗯，我们公司成立二十年了。", "c:哦。", "s:总部在上海。"),
        ),
        "decision_unasked": (("c:这事要领导同意才行。", "s:好的，那我等您消息。", "c:行。", "s:麻烦您了。"),),
        "side_deal": (("s:成了以后给您三个点的返点。",), ("s:There'd be a little kickback for you.",)),
    },
    "held_out": {
        "overpromises": (
            ("s:出了任何问题我赔您双倍，零风险。",),
            ("s:您说的这些要求我们全部百分百能实现。",),
            ("s:Nothing can go wrong with this, trust me.",),
            ("s:用我们的保证您一年翻番，肯定成功。",),
        ),
        "disparages_competitor": (
            ("s:那家就是个皮包公司。",),
            ("s:他们的售后烂透了。",),
            ("s:Honestly they rip off their customers.",),
            ("s:用他家的早晚后悔。",),
        ),
        "discount_unprompted": (
            ("s:价格好商量，我帮您申请打个九折。",),
            ("s:给您抹个零头，再送一年维保。",),
            ("s:I could take ten percent off for you.",),
        ),
        "does_not_know": (
            ("c:能耗大概多少？", "s:哎呀这个我还真说不上来。"),
            ("c:支持双语界面吗？", "s:我不知道哎。"),
            ("c:What's the MTBF?", "s:I have no idea."),
        ),
        "pressures": (
            ("s:名额就剩两个，您再犹豫就给别人了。",),
            ("s:月底前不定，下月全线提价，现在不买就涨了。",),
            ("s:If you don't sign today the deal is gone.",),
        ),
        "passes_blame": (
            ("c:安装拖了两周。", "s:安装队不归我们销售管。"),
            ("c:图纸又错了。", "s:这都是技术他们的事，我也没办法。"),
            ("c:Nobody called back.", "s:You'd have to blame the call centre for that."),
        ),
        "avoids_price_objection": (
            (
                "c:你们这价位超了我们的盘子，预算卡得紧。",
                "s:我们的展厅最近重新装修了，您有空来看。",
                "c:再说吧。",
                "s:那我发您个宣传册。",
            ),
            (
                "c:It's too expensive for us.",
                "s:Let me show you the colours first.",
                "c:Fine.",
                "s:We also have nice packaging.",
            ),
            ("c:别家比你便宜一点啊。", "s:哦，我们先聊聊别的。", "c:嗯。", "s:上次展会您去了吗？"),
        ),
        "pain_not_explored": (
            ("c:每个月光停机就亏进去十几万。", "s:好的，我们来看下一页产品介绍。", "c:嗯。", "s:这是我们的获奖证书。"),
            ("c:招不到人，夜班老是空着。", "s:这款是我们的旗舰型号。", "c:嗯。", "s:有蓝色和灰色。"),
            (
                "c:Changeovers are a real bottleneck for us.",
                "s:Great, here is our company history.",
                "c:OK.",
                "s:We won an award.",
            ),
        ),
        "decision_unasked": (
            ("c:最后要集团领导点头。", "s:没事，您先看看。", "c:好。", "s:资料放您这了。"),
            ("c:My boss decides on that.", "s:Sure, no problem.", "c:Okay.", "s:I'll leave the brochure here."),
        ),
        "side_deal": (
            ("s:事成之后少不了您那一份。",),
            ("s:发票可以不开，差额我们另外算给您。",),
            ("s:We can settle the difference off the books.",),
            ("s:私下里我们再聊聊感谢费。",),
        ),
    },
}

# An objection, and answered: no risk.
ANSWERED = ("c:报价贵了一成。", "s:我们折算到每年，省下的电费八个月回本。", "c:这样啊。", "s:明细给您。")
DECOYS = (
    ANSWERED,
    ("c:这个价格不贵，可以接受。", "s:谢谢您认可。"),
    ("c:你们比别人响应快多了，很满意。", "s:应该的。"),
    ("c:预算已经批下来了，八十万。", "s:太好了。"),
    ("s:我不敢保证一次到位，要现场测了才知道。", "c:实在。"),
    ("c:换线时间现在是多少，你们看过了吧？", "s:看过，四十分钟。"),
    ("c:嫌贵的是隔壁车间，我们不嫌。", "s:明白。"),
    ("c:领导昨天在群里夸了你们。", "s:请问哪位领导，他最关心什么？"),
    ("c:价格高是高，但值。", "s:三年的总成本比的是停机损失，一年省四十万。"),
    ("c:夜班总缺人，效率低。", "s:一个班缺几个人？持续多久了？"),
    ("c:Price is fine.", "s:Great to hear."),
    ("c:We don't need more training, the team is great.", "s:Glad to hear."),
    ("s:He said the competitor's service is good too.", "c:Yes."),
)
SMALL = (
    ("s:路上堵不堵？", "c:还行，高架通了。"),
    ("c:你们车间挺干净的。", "s:今天刚打扫过。"),
    ("s:您喝茶还是咖啡？", "c:白水就好。"),
    ("c:最近天气热。", "s:是，注意防暑。"),
    ("s:How was your trip?", "c:Fine, thanks."),
    ("c:二号线改造完了吗？", "s:上周通电了。"),
    ("s:这是现场的照片。", "c:看到了。"),
    ("c:图纸我收到了。", "s:好，有不明白的您说。"),
)
OPEN_GOOD = (
    ("s:给您介绍一下，这套方案能把换线从四十分钟缩短到八分钟。", "c:嗯。"),
    ("s:Let me introduce our product: it cuts downtime by 30 percent.", "c:OK."),
)
OPEN_BAD = (
    ("s:给您介绍一下我们公司，厂房有两万平，在苏州。", "c:嗯。"),
    ("s:我先讲讲我们这款机器，外壳是进口钢板。", "c:嗯。"),
    ("s:Let me introduce our product, it comes in grey and blue.", "c:OK."),
)
CLOSE_GOOD = (
    ("s:那周四上午我带工程师过来，您看几点方便？", "c:十点吧。", "s:好，再见。"),
    ("s:I'll send an invite for Tuesday.", "c:Good.", "s:Thanks, bye."),
    ("s:方案我后天发您，咱们先这样。", "c:好。"),
)
CLOSE_BAD = (
    ("s:那就不耽误您了，再见。", "c:再见。"),
    ("s:行，那今天先聊到这儿。", "c:好，慢走。"),
    ("s:Thanks for your time, goodbye.", "c:Bye."),
)


@dataclass(frozen=True, slots=True)
class Labelled:
    said: list[Said]
    labels: frozenset[str]


def draw(seed: int, part: str, count: int = 400) -> list[Labelled]:
    """`part` is practice or held_out. Half the scenes are decoys and small talk."""
    drawn = random.Random(f"{seed}/{part}")
    spoken, risky = (PRACTICE if part == "practice" else HELD_OUT), RISKY[part]
    made = []
    for _ in range(count):
        turns: list[str] = []
        labels: set[str] = set()
        good = drawn.random() < 0.7
        if drawn.random() < 0.5:
            turns += drawn.choice(OPEN_GOOD if good else OPEN_BAD)
            labels |= set() if good else {"risk/core_point_missing"}
        for _ in range(drawn.randint(1, 3)):
            aside = drawn.choice(drawn.choice((SMALL, DECOYS)))
            turns += aside
            labels |= {"objection/price"} if aside == ANSWERED else set()
            if drawn.random() < 0.6:
                key = drawn.choice(sorted(spoken))
                turns += ["c:" + drawn.choice(spoken[key]), *ANSWERS.get(key, ("s:您说的我记下了，具体是哪一块？",))]
                labels.add(key)
            if drawn.random() < 0.5:
                name = drawn.choice(sorted(risky))
                turns += drawn.choice(risky[name])
                labels.add(f"risk/{name}")
                labels |= {"objection/price"} if name == "avoids_price_objection" else set()
                labels |= {"objection/authority"} if name == "decision_unasked" else set()
        bad = drawn.random() < 0.4
        turns += drawn.choice(CLOSE_BAD if bad else CLOSE_GOOD)
        labels |= {"risk/no_next_step"} if bad else set()
        made.append(Labelled(spoken_by(turns), frozenset(labels)))
    return made


# What a good seller says next: a price objection is not dodged, nor a decision left to chance.
ANSWERS = {
    "objection/price": ("s:咱们按三年总成本折算，八个月回本，差额我列给您。",),
    "objection/authority": ("s:请问最后谁定，流程怎么走？我们一起准备材料。",),
}


def spoken_by(turns: list[str]) -> list[Said]:
    sides = {"c": "customer", "s": "seller"}
    return [Said(sides[turn[0]], turn[2:], at * 8000, at * 8000 + 6000) for at, turn in enumerate(turns)]
