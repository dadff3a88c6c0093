"""Mails as customers write them, with what each states.

Two parts that share no sentence. `practice` is what the patterns were mended by. `held_out` was written after that, measured
once, and nothing was mended by it: it says how the patterns fare with what they were not made for. Both are of the hand that
made the patterns, and composed; real mail is longer and wilder. A mail is composed by its seed: a greeting, small talk, sentences
that state something, sentences that look as if they did, a farewell, and often a quoted history whose statements are not the
sender's.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from itertools import cycle
from typing import Literal

Part = Literal["practice", "held_out"]
Sentences = dict[str, tuple[str, ...]]

NOTHING = "nothing"
KINDS = ("job_change", "left_company", "new_contact", "new_project", "absence", "contact_detail")

PRACTICE_ZH: Sentences = {
    "job_change": (
        "我从{day}起调到{unit}工作，担任{title}。",
        "因工作调整，我将到{unit}任职。",
        "组织上安排我去{unit}当{title}。",
        "本人已于{day}起任{title}。",
        "我现在是{unit}的{title}了。",
        "我的职务有变动，现为{title}。",
        "{name}近日升任{title}。",
        "我现任{title}，分管信息化。",
    ),
    "left_company": (
        "本周五是我在公司的最后一天。",
        "我已经从原单位离职。",
        "{name}上个月已经离开学校了。",
        "我{day}正式退休。",
        "我已递交辞呈，{day}之后就不在这里上班了。",
        "我已经从原单位退了。",
    ),
    "new_contact": (
        "之后的事情您找{name}就好，他的手机是{phone}。",
        "我的工作由{name}接手。",
        "今后请与{name}对接，电话{phone}。",
        "新的联系人是{name}，邮箱{mail}。",
        "这块以后归{name}管。",
        "后续请联系我的同事{name}（{phone}）。",
    ),
    "new_project": (
        "学校明年要上一套{goods}。",
        "{goods}的预算已经批下来了，年后招标。",
        "我们今年有一个{goods}项目，想请您报价。",
        "我院拟于三季度建设{goods}。",
        "领导已同意采购{goods}，预算{sum}万。",
        "我们计划今年启动{goods}建设。",
    ),
    "absence": (
        "本周我在外地培训，下周一回来。",
        "我正在休年假，有急事请打电话。",
        "{day}之前我不在办公室。",
        "我在外地出差，{day}回。",
    ),
    "contact_detail": (
        "手机号换了，新号{phone}。",
        "我的邮箱改为{mail}，请更新。",
        "我的电话已经换成{phone}。",
    ),
    NOTHING: (
        "我们将升级系统，请放心使用。",
        "贵司是否正在建设新的展厅，我很好奇。",
        "希望尽快启动付款流程，正在准备采购合同盖章。",
        "请直接联系客服热线。",
        "我担任评委，时间是下周二。",
        "请您找时间回复。",
        "没有出差计划，随时可以见面。",
        "您离开公司之后我又看了一遍方案。",
        "听说您升任经理，恭喜！",
        "我们计划下周二开会。",
        "休假的同事已经回来了。",
        "请调整一下报价再发我。",
        "请与贵司法务对接合同条款。",
        "项目负责人栏请盖章。",
    ),
}
PRACTICE_EN: Sentences = {
    "job_change": (
        "I've been named {title} as of {day}.",
        "I have moved to {unit} as {title}.",
        "My new title is {title}.",
        "{name} has been promoted to {title}.",
        "I now head {unit}.",
        "I have started as {title} this month.",
    ),
    "left_company": (
        "Today is my last day here.",
        "I have accepted a position elsewhere.",
        "I am leaving {company} at the end of the month.",
        "{name} is no longer with us.",
        "I will be leaving the company on {day}.",
    ),
    "new_contact": (
        "{name} is now in charge of procurement, write to {mail}.",
        "For anything further, my colleague {name} can help.",
        "Please contact {name} at {mail} from now on.",
        "Your new point of contact is {name}.",
        "{name} will take over my projects.",
    ),
    "new_project": (
        "We have budget for {goods} this year.",
        "We are looking to replace our {goods}.",
        "We plan to build {goods} in {day}.",
        "Our board has approved {goods}.",
        "We are planning to buy {goods}.",
    ),
    "absence": (
        "I'm away until {day}.",
        "I am on annual leave this week.",
        "I will be back in the office on {day}.",
    ),
    "contact_detail": (
        "My mobile has changed to {phone}.",
        "Please use my new address {mail}.",
        "My new number is {phone}.",
    ),
    NOTHING: (
        "I left a comment in the document.",
        "I am about to start the meeting.",
        "I started to read your proposal and moved to the pricing section.",
        "Please contact Accounting for the invoice.",
        "I am going to launch the survey tool to look at your form.",
        "We are going to start the call at ten.",
        "The office is closed on Sundays.",
        "I have not moved to another job.",
        "I have left the samples with your driver.",
        "Please speak to Accounting about the invoice.",
        "I will start the rollout when the manual is here.",
        "My new laptop arrived today.",
    ),
}
KNOWN_ZH: Sentences = {
    "job_change": (
        "上周起我到{unit}了，职务是{title}。",
        "学校让我负责{unit}，任{title}。",
        "我被提拔为{title}。",
        "经研究，{name}同志任{title}。",
        "我转岗做{title}了，以后主要看预算。",
        "我已改任{title}。",
    ),
    "left_company": (
        "我做到{day}就走了。",
        "{name}已经不在我们单位了。",
        "我{day}办完离职手续。",
        "感谢多年支持，我将于{day}离开公司，去别处发展。",
        "{name}主任去年底退休了。",
        "我要离开{company}了。",
    ),
    "new_contact": (
        "后面由{name}跟您联系，{phone}。",
        "具体细节可以和{name}沟通，他的邮箱是{mail}。",
        "接替我的是{name}。",
        "采购这边换成{name}了，电话{phone}。",
        "烦请把资料转给{name}，以后他负责。",
        "有事请联系{name}老师（{phone}）。",
    ),
    "new_project": (
        "我们打算今年把{goods}换掉，请给个方案。",
        "{goods}已经立项，预计{day}招标。",
        "明年准备做{goods}，方便的话来讲讲。",
        "近期要新建{goods}，金额约{sum}万。",
        "{goods}项目启动了，需要三家报价。",
        "我们想采购一批{goods}。",
    ),
    "absence": (
        "我这周请假，{day}恢复上班。",
        "本人{day}起休假一周。",
        "人在国外开会，{day}才回。",
        "外出学习，{day}返校。",
    ),
    "contact_detail": (
        "我换号了，新的手机是{phone}。",
        "原邮箱停用，请发{mail}。",
        "请记一下我的新号码{phone}。",
    ),
    NOTHING: (
        "我们部门的岗位设置请见附件。",
        "你们的离职率统计表做得不错。",
        "请联系厂家确认交期。",
        "请找财务开票。",
        "项目验收已经完成，谢谢。",
        "计划书我看过了，没有问题。",
        "我担心预算不够。",
        "会议调到下午三点。",
        "启动电源后指示灯不亮。",
        "如果以后有采购计划，我会联系您。",
        "合同负责人那一栏请写公司名。",
        "不用联系王老师，直接发我就行。",
        "去年我们建设的机房运行正常。",
        "我没有收到新号码。",
        "张工的手机没人接。",
        "我们不打算换投影。",
    ),
}
KNOWN_EN: Sentences = {
    "job_change": (
        "As of {day} I am the {title} of our group.",
        "I have taken on the role of {title}.",
        "I was promoted to {title} last week.",
        "I've switched teams and now work as {title}.",
        "{name} was made {title}.",
        "I have been appointed {title}.",
    ),
    "left_company": (
        "I've decided to leave {company}.",
        "My time at {company} ends on {day}.",
        "{name} has left the company.",
        "I'm retiring at the end of the year.",
        "I resigned last month.",
        "{name} no longer works here.",
    ),
    "new_contact": (
        "Going forward {name} ({mail}) will handle our account.",
        "Please direct questions to {name}.",
        "{name} has taken over from me.",
        "You can reach my replacement {name} at {mail}.",
        "I am handing my projects over to {name}.",
        "From now on please write to {name}.",
    ),
    "new_project": (
        "We intend to purchase {goods} next quarter.",
        "We need to upgrade our {goods} this summer.",
        "A tender for {goods} will be published in {day}.",
        "We are starting a project to renew {goods}.",
        "Management signed off on {goods}, so please send a quote.",
        "We want to buy {goods}.",
    ),
    "absence": (
        "I am out of the office until {day}.",
        "I will be on parental leave from {day}.",
        "I'm travelling and back on {day}.",
        "Currently on vacation, returning {day}.",
    ),
    "contact_detail": (
        "My new phone number is {phone}.",
        "My email address has changed to {mail}.",
        "You can now reach me at {phone}.",
    ),
    NOTHING: (
        "I left my badge at your reception.",
        "We moved to the next agenda item.",
        "I am going to start the download now.",
        "Please contact Support if it fails.",
        "My last day of training was very useful.",
        "We plan to review the contract on Friday.",
        "The new role of the sensor is explained on page two.",
        "Our office printer needs new paper.",
        "If we plan to buy projectors, I will let you know.",
        "Will your team be out of office at Christmas?",
        "I will take over the typing of the minutes.",
        "He left the door open.",
        "We want to start the test on Monday.",
        "Please write to the log file.",
        "I changed the number of seats to 40.",
        "You can leave the boxes at the gate.",
    ),
}
MORE_ZH: Sentences = {
    "job_change": (
        "我这边刚调整完，目前在{unit}做{title}。",
        "从{day}开始由我主持{unit}的工作。",
        "我升职了，现在管整个{unit}。",
        "{name}老师接任{title}。",
        "学校任命我为{title}。",
        "我换部门了，去了{unit}。",
    ),
    "left_company": (
        "我{day}就要办退休了。",
        "我从{company}出来了，准备自己创业。",
        "{name}前两周辞了职。",
        "合同到期，我不再续签，{day}离校。",
        "最后上班日是{day}，感谢您的照顾。",
        "{name}已调离我单位。",
    ),
    "new_contact": (
        "这件事请直接跟{name}说，电话{phone}。",
        "{name}会接着跟您谈。",
        "以后的验收都是{name}在管。",
        "联系人改一下，写{name}。",
        "我把您的微信推给{name}了，他是新的负责人。",
        "请加{name}的微信，号码{phone}。",
    ),
    "new_project": (
        "{day}要开始{goods}的招标。",
        "我们缺一套{goods}，麻烦报个价。",
        "教育局给了{sum}万做{goods}。",
        "暑假里把老的{goods}全部更新。",
        "新校区需要配{goods}，请出方案。",
        "{goods}的采购意向已经公示。",
    ),
    "absence": (
        "我{day}前都在休产假。",
        "这两天参加党校学习，回复会晚一些。",
        "我{day}不上班，有事发微信。",
        "正在外省调研，{day}返回。",
    ),
    "contact_detail": (
        "旧号码{day}停机，新号是{phone}。",
        "以后邮件发到{mail}。",
        "座机改了：{phone}。",
    ),
    NOTHING: (
        "贵公司的{name}经理昨天来过。",
        "上次说的离职补偿条款删掉吧。",
        "教室里的旧投影还能用。",
        "请让{name}把发票寄来。",
        "你们准备什么时候发货。",
        "我们主任看过了，说可以。",
        "采购流程走完要两周。",
        "项目款下周支付。",
        "这套系统升级以后很好用。",
        "请假期间的值班表见附件。",
        "我在会议室等您。",
        "电话里说的那个型号我记下了。",
        "建设单位请写我们学校。",
        "我到公司楼下了。",
        "负责人签字后寄回。",
        "新手机壳不错。",
    ),
}
MORE_EN: Sentences = {
    "job_change": (
        "I'm taking over as {title} on {day}.",
        "They made me {title}.",
        "I've stepped up to {title}.",
        "{name} is our new {title}.",
        "Starting {day} I'll be running {unit}.",
    ),
    "left_company": (
        "I handed in my notice yesterday.",
        "{day} will be my final day with {company}.",
        "{name} moved on last month.",
        "I'm off to a new employer from {day}.",
        "I won't be at {company} after {day}.",
    ),
    "new_contact": (
        "{name} is your contact from {day} on.",
        "I've copied {name}, who takes this over.",
        "Any questions, ask {name}.",
        "{name} is the person to talk to now.",
        "Send the papers to {name} ({mail}) instead of me.",
    ),
    "new_project": (
        "We're going to need {goods} by {day}.",
        "Kindly quote for {goods}, we are replacing the old ones.",
        "The city has funded {goods} for us.",
        "Replacement of {goods} is due this year.",
        "We are putting {goods} out to tender.",
    ),
    "absence": (
        "I'm off sick this week.",
        "I won't be in the office before {day}.",
        "Away at a conference, back {day}.",
    ),
    "contact_detail": (
        "I have a new mobile number, {phone}.",
        "Use {mail} from now on, the old one is dead.",
        "My direct line is now {phone}.",
    ),
    NOTHING: (
        "Your manager called me yesterday.",
        "I left a message with {name}.",
        "We moved the date to {day}.",
        "I have started as many tests as I could.",
        "Is {name} still with you?",
        "The director approved the quote.",
        "We need to replace the fuse in the rack.",
        "I want to buy you a coffee.",
        "My number of seats is 30.",
        "He will take over the shift at nine.",
        "We are planning to meet on {day}.",
        "The driver left at noon.",
        "Please contact me in case anything is unclear.",
        "Out of the ten units two were broken.",
        "I am back on track with the forms.",
        "{name} can help you find the entrance.",
    ),
}
HELD_OUT_ZH: Sentences = {
    "job_change": (
        "我上个月升任{title}，以后多联系。",
        "人事刚宣布，我调到{unit}了。",
        "向您汇报一下，我现在担任{title}。",
        "{name}已经被提拔为{title}。",
        "我的岗位做了调整，不再管设备。",
        "本人{day}到{unit}报到。",
    ),
    "left_company": (
        "我已于{day}离职。",
        "下个月我就离开这里了。",
        "{name}老师{day}退休了。",
        "我换了一家单位，这个邮箱即将停用。",
        "和您说一声，我辞职了。",
        "{name}离开我们学校有一阵子了。",
    ),
    "new_contact": (
        "我不在期间请联系{name}，电话{phone}。",
        "这个项目改由{name}负责。",
        "新来的{name}会和您对接。",
        "价格方面您问{name}就行。",
        "我的接替者是{name}，邮箱{mail}。",
        "麻烦以后直接找{name}老师。",
    ),
    "new_project": (
        "我校计划{day}采购{goods}。",
        "今年预算里列了{goods}。",
        "我们正在筹备{goods}项目，希望了解一下贵司产品。",
        "明年要更换{goods}，想先看看样品。",
        "{goods}项目已经立项。",
        "领导想建{goods}，让我先询价。",
    ),
    "absence": (
        "我出差到{day}。",
        "我在休产假，{day}后回来。",
        "下周我请年假，不看邮件。",
        "我这几天生病在家。",
    ),
    "contact_detail": (
        "我的手机号改为{phone}。",
        "我的新邮箱是{mail}。",
        "电话换了，现在是{phone}。",
    ),
    NOTHING: (
        "离职手续的办理指南已经上传。",
        "我找到那份合同了。",
        "请联系我确认。",
        "我到您公司参观时很受启发。",
        "项目经理证书请附上。",
        "我们学校去年采购的黑板很好用。",
        "您换手机了吗？",
        "方便的话请介绍一下产品。",
        "陈列柜的尺寸对不上。",
        "出差费用请开在一张票上。",
        "我想建议把交期提前。",
        "新闻稿我发给校办了。",
    ),
}
HELD_OUT_EN: Sentences = {
    "job_change": (
        "I have just been promoted to {title}.",
        "I recently moved into a new role as {title}.",
        "I am now {title}.",
        "From {day} I will be {title}.",
        "{name} has become {title}.",
        "I've transferred to {unit}.",
    ),
    "left_company": (
        "I will be leaving {company} on {day}.",
        "This is my last week at {company}.",
        "I have left {company}.",
        "I've resigned and will finish on {day}.",
        "{name} left us in {day}.",
        "I am retiring this summer.",
    ),
    "new_contact": (
        "Please contact my colleague {name} instead.",
        "{name} will be your new contact.",
        "{name} ({mail}) is looking after this now.",
        "My successor is {name}.",
        "While I am gone, please reach out to {name} at {mail}.",
        "Please send all invoices to {name} in future.",
    ),
    "new_project": (
        "We are planning to replace {goods} this autumn.",
        "We have a new project coming up for {goods}.",
        "We are in the market for {goods}.",
        "Our budget for {goods} was approved.",
        "We would like to install {goods} in {day}.",
        "We intend to buy {goods}.",
    ),
    "absence": (
        "I am on vacation until {day}.",
        "I will be out of the office from {day}.",
        "I am travelling this week with limited access to mail.",
        "I'm on leave and return on {day}.",
    ),
    "contact_detail": (
        "My phone number has changed to {phone}.",
        "My new email is {mail}.",
        "Please note my new number: {phone}.",
    ),
    NOTHING: (
        "I left you a voicemail.",
        "The meeting was moved to {day}.",
        "I am planning to look at it tonight.",
        "Please contact us with any questions.",
        "Our director is pleased with the result.",
        "We bought the displays last year.",
        "I have taken your comments on board.",
        "Nobody was in the office when the parcel came.",
        "The leaving date on the form is wrong.",
        "I would like to see your new catalogue.",
        "Do you have a new phone number?",
        "We started the pilot as agreed.",
    ),
}


def _together(*parts: Sentences) -> Sentences:
    return {kind: tuple(sentence for part in parts for sentence in part[kind]) for kind in (*KINDS, NOTHING)}


SENTENCES: dict[Part, dict[str, Sentences]] = {
    "practice": {
        "zh": _together(PRACTICE_ZH, KNOWN_ZH, MORE_ZH),
        "en": _together(PRACTICE_EN, KNOWN_EN, MORE_EN),
    },
    "held_out": {"zh": HELD_OUT_ZH, "en": HELD_OUT_EN},
}
WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "zh": {
        "name": ("王敏", "李建国", "陈晓", "赵强", "周丽华", "刘洋", "欧阳娜", "孙磊"),
        "title": ("信息中心主任", "采购处处长", "副校长", "后勤处长", "项目经理", "总工程师"),
        "unit": ("信息中心", "后勤处", "基建处", "设备科", "教务处"),
        "company": ("本公司", "学校", "原单位"),
        "goods": ("智慧黑板", "录播系统", "数据中心", "智慧教室", "校园广播系统", "机房空调"),
        "day": ("3月1日", "下月初", "6月15日", "下周三", "10月8日"),
        "sum": ("80", "120", "350"),
        "phone": ("13911112222", "138 0000 1111", "0531-88881234"),
        "mail": ("wm@school.cn", "li.jg@firm.com.cn"),
    },
    "en": {
        "name": ("Sarah Lee", "Tom Ray", "Jane Miller", "Carlos Diaz", "Wei Zhang", "Anna O'Neil"),
        "title": ("Head of Procurement", "IT director", "CTO", "facilities manager", "Director of Operations"),
        "unit": ("the IT department", "procurement", "the Berlin office", "facilities"),
        "company": ("the company", "Acme", "Northwind"),
        "goods": ("a new data centre", "classroom displays", "video walls", "the campus network", "projectors"),
        "day": ("January 12", "March", "Monday", "June 3"),
        "sum": ("80",),
        "phone": ("+86 139 0000 1111", "+44 20 7946 0958", "13900001111"),
        "mail": ("sl@x.org", "tom.ray@acme.com"),
    },
}
TALK = {
    "zh": ("资料已收到，谢谢。", "上次的样品大家都很满意。", "天气转凉，请注意身体。", "报价单我再看看。"),
    "en": (
        "Thank you for the documents.",
        "The samples were well received.",
        "I hope you are well.",
        "I will look at the quote.",
    ),
}
FRAME = {
    "zh": ("您好：", "此致\n敬礼\n王敏", "在 2026年1月5日，Closedloop 写道：", "回复：报价"),
    "en": ("Hello,", "Best regards,\nJane", "On Mon, Jan 5, 2026 at 4:19 PM, Closedloop wrote:", "Re: quote"),
}


@dataclass(frozen=True, slots=True)
class Labelled:
    """`states`: kind and sentence of everything its sender says in it."""

    raw: bytes
    language: str
    states: tuple[tuple[str, str], ...]


def mails(part: Part, seed: int, count: int = 200) -> Iterator[Labelled]:
    """Half Chinese, half English; every sentence of the part is used as often as every other of its kind."""
    chance = random.Random(f"{part}:{seed}")
    decks = {
        (language, kind): cycle(chance.sample(sentences, len(sentences)))
        for language, kinds in SENTENCES[part].items()
        for kind, sentences in kinds.items()
    }
    for number in range(count):
        language = ("zh", "en")[number % 2]

        def one(kind: str, language: str = language) -> str:
            words = {name: chance.choice(choices) for name, choices in WORDS[language].items()}
            return next(decks[language, kind]).format(**words)

        kinds = chance.sample(KINDS, chance.choice((0, 1, 1, 1, 2)))
        states = tuple((kind, one(kind)) for kind in kinds)
        empty = [one(NOTHING) for _ in range(chance.choice((0, 1, 1, 2) if kinds else (1, 2, 3)))]
        said = [sentence for _, sentence in states] + empty + [chance.choice(TALK[language])]
        chance.shuffle(said)
        greeting, farewell, introduction, subject = FRAME[language]
        text = f"{greeting}\n\n{(' ' if language == 'en' else '').join(said)}\n\n{farewell}\n"
        if chance.random() < 0.4:
            text += f"\n{introduction}\n> {one(chance.choice(KINDS))}\n"
        yield Labelled(_mail(text, subject, number), language, states)


def _mail(text: str, subject: str, number: int) -> bytes:
    message = EmailMessage()
    message["From"], message["To"] = "Customer <customer@school.cn>", "sales@closedloop.test"
    message["Subject"], message["Message-ID"] = subject, f"<{number}@school.cn>"
    message["Date"] = "Mon, 5 Jan 2026 09:00:00 +0800"
    message.set_content(text)
    return message.as_bytes()
