"""What a mail is and what it says: natures, and facts by rules a newcomer can read."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Rules
from closedloop_integrations.mail.mime import Parsed
from closedloop_integrations.mail.phrases import DEFAULT_FACTS, FactRule
from closedloop_integrations.mail.quoting import QuotingRules

_CHINESE = re.compile(r"[\u3400-\u9fff]")


class MailRules(Rules):
    """How mails are told apart and which facts are read out of them."""

    rulebook: ClassVar[str] = "integrations.mail"

    facts: tuple[FactRule, ...] = Field(default=DEFAULT_FACTS, max_length=500)
    quoting: QuotingRules = QuotingRules()
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
    # Lines of a paragraph that is so wide, in columns, are taken for one that a mail program has broken; Chinese takes two.
    wrapped_from: int = Field(default=60, ge=20, le=200)
    # How long after sending a bounce that names only an address is laid to the last mail there.
    bounce_days: int = Field(default=7, ge=1, le=60)
    max_bytes: int = Field(default=25 * 1024 * 1024, ge=1024)


def nature_of(mail: Parsed, rules: MailRules) -> str:
    """ "bounce", "auto_reply", "bulk" or "personal"."""
    subject, sender = mail.subject.casefold(), mail.sender.address.partition("@")[0]
    if mail.reports_no_failure:
        # A machine's, whatever it calls itself: a delay notice often bears a bounce's subject.
        return "bulk"
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
