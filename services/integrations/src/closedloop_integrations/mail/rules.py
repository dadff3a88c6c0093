"""What a mail is and what it says: natures, and facts by rules a newcomer can read."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

import regex
from pydantic import Field, field_validator

from closedloop_chassis.rulebook.rules import Part, Rules
from closedloop_integrations.mail.mime import Parsed

FactKind = Literal["job_change", "left_company", "new_contact", "new_project", "absence", "contact_detail"]

_CHINESE = re.compile(r"[\u3400-\u9fff]")


class FactRule(Part):
    """A sentence that matches `pattern` says `kind`; named groups become values, `person` names whom it is about."""

    name: str = Field(min_length=1, max_length=64)
    kind: FactKind
    pattern: str = Field(min_length=1, max_length=2000)
    confidence: float = Field(gt=0, le=1)

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            regex.compile(pattern)
        except regex.error as error:
            raise ValueError(f"not a pattern: {error}") from error
        return pattern


_NAME = r"(?P<person>(?!我们|他们|你们|以后|后续|今后|之后)[\u4e00-\u9fff]{2,3})"
_TITLE = r"(?P<title>[^，,。；;！!、\s]{2,30})"
_EN_NAME = r"(?P<person>[A-Z][\w'-]+(?: [A-Z][\w'-]+){0,2})"
_WORDS = r"[^,.;!?\n]"
DEFAULT_FACTS = (
    FactRule(
        name="zh.i_moved",
        kind="job_change",
        pattern=r"(?:我|本人)[^，。；]{0,12}?(?:调任|升任|转任|调到|调至|调往|转到|转岗到|就任|担任|出任|晋升为|改任)(?:为|了)?"
        + _TITLE,
        confidence=0.85,
    ),
    FactRule(
        name="zh.somebody_moved",
        kind="job_change",
        pattern=_NAME + r"(?:已|已经|现|近日|最近)?(?:调任|升任|转任|接任|就任|出任|晋升为|改任)(?:为|了)?" + _TITLE,
        confidence=0.7,
    ),
    FactRule(
        name="zh.job_changed",
        kind="job_change",
        pattern=r"(?:我|本人)[^，。；]{0,10}(?:岗位|职务|工作)(?:有|发生|已|做了)?(?:调整|变动|变更|调动)",
        confidence=0.6,
    ),
    FactRule(
        name="zh.i_left",
        kind="left_company",
        pattern=r"(?:我|本人)[^，。；]{0,16}?(?:离职|辞职|退休|离开(?:了)?(?:公司|单位|本公司|学校|医院|贵司|原单位)|不再(?:负责|担任|从事))",
        confidence=0.85,
    ),
    FactRule(
        name="zh.somebody_left",
        kind="left_company",
        pattern=_NAME + r"(?:已|已经|刚|近日|上月|上周)?(?:从[^，。]{2,20})?(?:离职|辞职|退休|离开公司)(?:了)?",
        confidence=0.75,
    ),
    FactRule(
        name="zh.contact_another",
        kind="new_contact",
        pattern=r"(?:请|可以?|直接|烦请|麻烦)[^，。；]{0,6}?(?:联系|找|对接|咨询)(?:我的?|我们的?)?(?:同事|接替者|继任者|负责人)?"
        r"(?P<person>(?!我|您|贵)[\u4e00-\u9fff]{2,3}?)(?=经理|主任|老师|处长|科长|总|工|先生|女士|$|[，,。；;（(：:\s\dA-Za-z])",
        confidence=0.75,
    ),
    FactRule(
        name="zh.taken_over",
        kind="new_contact",
        pattern=r"由(?:我的?|我们的?)?(?:同事)?(?P<person>[\u4e00-\u9fff]{2,3}?)(?:经理|主任|老师|处长|科长|先生|女士)?(?:来)?(?:接替|接手|接任|负责|对接|跟进)",
        confidence=0.8,
    ),
    FactRule(
        name="zh.new_project",
        kind="new_project",
        pattern=r"(?:计划|准备|打算|拟|正在|即将|将|要)(?:在|于)?[^，。；]{0,15}?(?:新建|建设|启动|采购|招标|立项|上马|改造|扩建|更换|升级)"
        r"(?P<project>[^，。；！]{2,40})",
        confidence=0.7,
    ),
    FactRule(
        name="zh.a_new_project",
        kind="new_project",
        pattern=r"(?:有|启动了?|立了)(?:一个)?(?P<project>新(?:的)?项目[^，。；！]{0,40})",
        confidence=0.7,
    ),
    FactRule(
        name="zh.absence",
        kind="absence",
        pattern=r"(?:休假|产假|年假|出差|外出|不在办公室|不在公司|无法及时回复)(?:[^。；]{0,20}?(?P<until>\d{1,2}月\d{1,2}[日号]))?",
        confidence=0.8,
    ),
    FactRule(
        name="zh.contact_detail",
        kind="contact_detail",
        pattern=r"(?:手机|电话|微信|邮箱|联系方式)(?:号码?|地址)?[^，。；]{0,4}?"
        r"(?:换成|改为|变更为|更换为|更新为|变为|换了|改成)(?:了)?[:：\s]*(?P<detail>[\w@.+ -]{5,60})?",
        confidence=0.8,
    ),
    FactRule(
        name="en.i_moved",
        kind="job_change",
        pattern=r"\b(?:I|I've|I have)\b"
        + _WORDS
        + r"{0,30}?\b(?:moved|been promoted|transferred|been appointed|started|joined|taken over)\b"
        + _WORDS
        + r"{0,20}?\b(?:as|to the position of|to|into)\b (?:the |a |an |our )?(?P<title>"
        + _WORDS
        + r"{2,60})",
        confidence=0.8,
    ),
    FactRule(
        name="en.new_role",
        kind="job_change",
        pattern=r"\b[Mm]y new (?:role|position|job|title)\b(?: is| as|:)? ?(?:the |a |an )?(?P<title>"
        + _WORDS
        + r"{2,60})?",
        confidence=0.8,
    ),
    FactRule(
        name="en.i_left",
        kind="left_company",
        pattern=r"\bI(?:'m| am| have|'ve| will be|'ll be)? (?:be )?(?:leaving|left|retiring|resigned|retired)\b|\b[Mm]y last day\b"
        r"|\bno longer (?:with|work(?:ing)? (?:at|for))\b",
        confidence=0.8,
    ),
    FactRule(
        name="en.contact_another",
        kind="new_contact",
        pattern=r"\b(?:[Pp]lease |you can |[Kk]indly )?(?:contact|reach out to|get in touch with|write to|speak to) "
        r"(?:my (?:colleague|successor),? )?" + _EN_NAME,
        confidence=0.7,
    ),
    FactRule(
        name="en.taken_over",
        kind="new_contact",
        pattern=_EN_NAME
        + r"(?: \([^)]{3,60}\))? (?:will (?:take over|replace me|be your (?:new )?contact|be taking over)"
        r"|is (?:taking over|your new contact))",
        confidence=0.8,
    ),
    FactRule(
        name="en.new_project",
        kind="new_project",
        pattern=r"\b(?:planning|going|about|plan|intend|preparing|launching|starting|will)\b"
        + _WORDS
        + r"{0,20}?\b(?:to (?:build|buy|launch|start|replace|upgrade|tender)|a new project|new project)\b ?(?P<project>"
        + _WORDS
        + r"{2,80})?",
        confidence=0.65,
    ),
    FactRule(
        name="en.absence",
        kind="absence",
        pattern=r"\b(?:[Oo]ut of (?:the )?office|[Oo]n (?:annual |parental |sick )?leave|on vacation)\b(?:"
        + _WORDS
        + r"{0,40}?\buntil (?P<until>"
        + _WORDS
        + r"{3,30}))?",
        confidence=0.8,
    ),
    FactRule(
        name="en.contact_detail",
        kind="contact_detail",
        pattern=r"\b[Mm]y new (?:phone|mobile|number|phone number|mobile number|email|e-mail|email address)\b"
        r"(?: is|:)? ?(?P<detail>[\w@.+ ()-]{5,60})?",
        confidence=0.8,
    ),
)


class MailRules(Rules):
    """How mails are told apart and which facts are read out of them."""

    rulebook: ClassVar[str] = "integrations.mail"

    facts: tuple[FactRule, ...] = Field(default=DEFAULT_FACTS, max_length=500)
    # All patterns together may take so long over one mail; what is not read by then stays unread.
    reading_seconds: float = Field(default=0.5, gt=0, le=5)
    # Directly before what was found, they turn it into its contrary.
    negations: tuple[str, ...] = ("没有", "没", "不会", "不是", "并未", "尚未", "未", "不打算", "not", "n't", "never")
    # In a question or a condition nothing is stated.
    open_words: tuple[str, ...] = ("吗", "是否", "有没有", "如果", "假如", "?", "？", "if ", "whether ")
    least_confidence: float = Field(default=0.4, ge=0, le=1)
    # Somebody who writes on a machine's behalf is believed less.
    automatic_factor: float = Field(default=0.8, gt=0, le=1)
    bounce_senders: tuple[str, ...] = ("mailer-daemon", "postmaster", "mail-daemon")
    bounce_subjects: tuple[str, ...] = (
        "delivery failure",
        "undeliver",
        "delivery status notification",
        "returned mail",
        "failure notice",
        "退信",
        "系统退信",
        "邮件无法送达",
    )
    automatic_subjects: tuple[str, ...] = (
        "自动回复",
        "automatic reply",
        "auto-reply",
        "autoreply",
        "out of office",
        "不在办公室",
    )
    # A gateway's signed call of longer ago, or of a time to come, may be a recorded one.
    webhook_seconds: int = Field(default=300, ge=1, le=86_400)
    # A longer one is no sentence, and states nothing.
    longest_sentence: int = Field(default=300, ge=20, le=2000)
    # How long after sending a bounce that names only an address is laid to the last mail there.
    bounce_days: int = Field(default=7, ge=1, le=60)
    max_bytes: int = Field(default=25 * 1024 * 1024, ge=1024)


def nature_of(mail: Parsed, rules: MailRules) -> str:
    """ "bounce", "auto_reply", "bulk" or "personal"."""
    subject, sender = mail.subject.casefold(), mail.sender.address.partition("@")[0]
    nobody = mail.headers.get("return-path", "").strip() == "<>"
    if mail.failed_recipient or (
        (sender in rules.bounce_senders or nobody) and any(word in subject for word in rules.bounce_subjects)
    ):
        return "bounce"
    submitted = mail.headers.get("auto-submitted", "no").casefold()
    if (
        submitted.startswith("auto-replied")
        or "x-autoreply" in mail.headers
        or any(subject.startswith(word) for word in rules.automatic_subjects)
    ):
        return "auto_reply"
    precedence = mail.headers.get("precedence", "").casefold()
    if (
        "list-unsubscribe" in mail.headers
        or precedence in ("bulk", "list", "junk")
        or submitted.startswith("auto-generated")
    ):
        return "bulk"
    return "personal"


def language_of(text: str) -> str:
    """ "zh" where every tenth letter or more is Chinese, else "en"; empty for no letters."""
    letters = sum(letter.isalpha() for letter in text)
    if not letters:
        return ""
    return "zh" if len(_CHINESE.findall(text)) * 10 >= letters else "en"
