"""Mails of any shape are read: real clients', broken ones, Chinese charsets; history and signature are cut."""

from __future__ import annotations

import time
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop_integrations.mail.mime import NotMailError, parse
from closedloop_integrations.mail.quoting import QuotingRules, cut
from closedloop_integrations.mail.rules import MailRules, nature_of

RULES = QuotingRules()


@pytest.mark.mission("S69")
@pytest.mark.parametrize(
    ("name", "sender", "text", "signature"),
    [
        ("reply_apple_mail.eml", "xxx@gmail.com", "Hello", ""),
        ("reply_gmail.eml", "xxx@gmail.com", "Hello", ""),
        ("reply_hotmail.eml", "xxx@hotmail.com", "Hello", ""),
        ("reply_iphone.eml", "xxx@gmail.com", "Hello", "Sent from my iPhone"),
        ("reply_outlook.eml", "me@example.com", "Hello", ""),
    ],
)
def test_what_real_clients_send_is_read_without_history(
    data_folder: Path, name: str, sender: str, text: str, signature: str
) -> None:
    mail = parse((data_folder / "mail" / name).read_bytes())
    written = cut(mail.text, RULES)
    assert (mail.sender.address, written.text, written.signature) == (sender, text, signature)
    assert nature_of(mail, MailRules()) == "personal"


@pytest.mark.mission("S69")
def test_a_malformed_delivery_report_is_a_bounce_that_names_its_mail(data_folder: Path) -> None:
    mail = parse((data_folder / "mail" / "malformed_2.eml").read_bytes())
    assert nature_of(mail, MailRules()) == "bounce"
    assert (mail.failed_recipient, mail.failed_status) == ("abh@netpar.com.br", "4.2.2")
    assert mail.failed_message_id == "<004801d1fc84$01c934ac$b247f0b7$@infospacemail.com>"


def test_a_real_signature_is_found(data_folder: Path) -> None:
    lines = (data_folder / "mail" / "signature_1.txt").read_text().splitlines()
    expected = [line.removeprefix("#sig#") for line in lines if line.startswith("#sig#")]
    written = cut("\n".join(line.removeprefix("#sig#") for line in lines), RULES)
    assert written.signature.splitlines() == expected
    assert written.text.endswith("the best of luck in the\ndrawing!")


def chinese(text: str, charset: str, header: str = "") -> bytes:
    """A mail as old Chinese clients write it: everything in one charset, the header raw or encoded."""
    subject = header.encode(charset) if header else "项目进展".encode(charset)
    return (
        b"From: =?gb2312?B?1cXI/Q==?= <ZhangSan@Example.CN>\r\nTo: sales@closedloop.test\r\nSubject: "
        + subject
        + f"\r\nMessage-ID: <1@example.cn>\r\nDate: Mon, 5 Jan 2026 10:00:00 +0800\r\n"
        f"Content-Type: text/plain; charset={'gb2312' if charset == 'gb18030' else charset}\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\n".encode()
        + text.encode(charset)
    )


@pytest.mark.mission("S69")
@pytest.mark.parametrize("charset", ["gb18030", "gbk", "utf-8", "big5"])
def test_chinese_charsets(charset: str) -> None:
    if charset == "big5":
        assert parse(chinese("您好，我們下週開會。", charset, header="會議")).text == "您好，我們下週開會。"
        return
    text = "您好，镕基小学的项目㐂有进展。" if charset == "gb18030" else "您好，项目有进展。"
    mail = parse(chinese(text, charset))
    assert (mail.text, mail.sender.address, mail.sender.name) == (text, "zhangsan@example.cn", "张三")


def test_a_raw_gb18030_subject_is_mended_and_said_so() -> None:
    mail = parse(chinese("正文", "gb18030", header="关于校园网改造"))
    assert mail.subject == "关于校园网改造"
    assert "HEADER_REPAIRED" in mail.mended


def test_a_wrong_charset_is_guessed_and_said_so() -> None:
    raw = b"From: a@b.cn\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n" + "我已调任采购处处长".encode("gb18030")
    mail = parse(raw)
    assert mail.text == "我已调任采购处处长"
    assert "CHARSET_GUESSED" in mail.mended


def test_html_without_plain_text_is_read_as_a_reader_sees_it() -> None:
    message = EmailMessage()
    message["From"] = "a@b.cn"
    message.set_content(
        "<html><style>p{color:red}</style><p>第一行</p><div>第二行<br>第三行</div>"
        "<blockquote>旧的内容</blockquote><script>x()</script></html>",
        subtype="html",
    )
    mail = parse(message.as_bytes())
    assert mail.text.splitlines() == ["第一行", "第二行", "第三行"]
    assert "HTML_ONLY" in mail.mended


def test_attachments_are_named_not_kept() -> None:
    message = EmailMessage()
    message["From"] = "a@b.cn"
    message.set_content("见附件")
    message.add_attachment(b"abc", maintype="application", subtype="pdf", filename="需求清单.pdf")
    [part] = parse(message.as_bytes()).attachments
    assert (part.name, part.media_type, part.size) == ("需求清单.pdf", "application/pdf", 3)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("好的\n\n在 2026年1月5日，张三 <a@b.cn> 写道：\n> 旧", "好的"),
        ("好的\n\n------------------ 原始邮件 ------------------\n发件人: x\n发送时间: y\n收件人: z", "好的"),
        ("好的\n\n发件人：张三\n发送时间：2026年1月5日\n收件人：李四\n主题：报价\n\n旧", "好的"),
        ("> 旧的问题？\n答案在这里。", "答案在这里。"),
        ("On Monday we meet.\nFrom: the airport, by car.", "On Monday we meet.\nFrom: the airport, by car."),
        ("> 只有引用", "> 只有引用"),
        ("可以。\n\n此致\n敬礼\n张三", "可以。"),
        ("可以。\n\n-- \n张三\n13800000000", "可以。"),
        ("明天见。\n\n张三 采购处\n电话：0531-88888888", "明天见。"),
        ("第一段。\n\n第二段提到 a@b.cn 这个地址，请查收。", "第一段。\n\n第二段提到 a@b.cn 这个地址，请查收。"),
    ],
)
def test_history_and_signature_are_cut(text: str, kept: str) -> None:
    assert cut(text, RULES).text == kept


def test_devices_and_courtesies_are_known_by_the_rulebooks_words() -> None:
    """What another mail program, or another house's style, writes is cut once the rulebook has it; not before."""
    known = (
        ("好的。\n\n从网易邮箱大师发送", "从网易邮箱大师发送"),
        ("OK\nSent from my iPhone 15", "Sent from my iPhone 15"),
        ("Fine.\n\nBest regards,\nBob", "Best regards,\nBob"),
        ("可以。\n\n祝您商祺！\n张三", "祝您商祺！\n张三"),
        ("明天见。\n\n张三\nEmail: zs", "张三\nEmail: zs"),
    )
    for text, signature in known:
        assert cut(text, RULES).signature == signature
    rules = QuotingRules(
        devices=("Composed on …", "(a+)+…"),
        farewells=("Mit freundlichen Grüßen", "顺颂时祺"),
        wrote=("schrieb",),
        wrote_last=("のメール",),
        separators=("Ursprüngliche Nachricht",),
        headers=("Von", "Datum", "An"),
        contact_labels=("Telefon",),
    )
    others = (
        ("Gut.\nComposed on Fairphone", "Gut."),
        ("Gut.\n\nmit freundlichen Grüßen,\nBob", "Gut."),
        ("可以。\n\n顺颂时祺\n张三", "可以。"),
        ("Gut.\n--- Ursprüngliche Nachricht ---\nalt", "Gut."),
        ("Gut.\nVon: x\nDatum: y\nAn: z\nalt", "Gut."),
        ("Gut.\n\nBob\nTelefon: 12", "Gut."),
        ("はい。\n田中のメール：\n古い", "はい。"),
    )
    for text, kept in others:
        assert cut(text, rules).text == kept
        assert cut(text, RULES).text == text
    for text, _ in known[:4]:
        assert cut(text, rules).text == text
    assert cut("aaa" * 30 + "!", rules).text == "aaa" * 30 + "!", "a word is a word and no pattern"


@pytest.mark.parametrize(
    ("headers", "subject", "nature"),
    [
        ({"Auto-Submitted": "auto-replied"}, "Re: x", "auto_reply"),
        ({}, "自动回复: 报价", "auto_reply"),
        ({"List-Unsubscribe": "<mailto:x@y>"}, "新闻", "bulk"),
        ({"Precedence": "bulk"}, "新闻", "bulk"),
        ({"Auto-Submitted": "no"}, "报价", "personal"),
        ({"Return-Path": "<>"}, "Undelivered Mail Returned to Sender", "bounce"),
        ({}, "退信", "personal"),
    ],
)
def test_natures(headers: dict[str, str], subject: str, nature: str) -> None:
    message = EmailMessage()
    message["From"], message["Subject"] = "a@b.cn", subject
    for name, value in headers.items():
        message[name] = value
    message.set_content("x")
    assert nature_of(parse(message.as_bytes()), MailRules()) == nature


def test_the_same_mail_by_another_way_has_the_same_digest() -> None:
    raw = chinese("您好", "utf-8")
    assert parse(b"Received: from somewhere\r\n" + raw).digest == parse(raw).digest
    assert parse(raw.replace("您好".encode(), "再见".encode())).digest != parse(raw).digest


@pytest.mark.parametrize("raw", [b"", b"\r\n\r\n", b"no header at all"])
def test_what_is_no_mail_is_refused(raw: bytes) -> None:
    with pytest.raises(NotMailError):
        parse(raw)


@given(
    st.binary(max_size=2000),
    st.sampled_from([b"", b"From: x@y.z\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"]),
)
def test_no_bytes_break_the_reader(noise: bytes, head: bytes) -> None:
    try:
        mail = parse(head + noise)
    except NotMailError:
        return
    written = cut(mail.text, RULES)
    assert "\0" not in mail.text + mail.subject + written.signature
    mail.text.encode()


BOXES = b"".join(
    b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (number, number) for number in range(1500)
)


@pytest.mark.parametrize(
    "raw",
    [
        b"From: a@b.example\r\nSubject: x\r\n" + BOXES,
        b"From: a@b.example\r\nSubject: x\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 2000,
    ],
)
def test_of_a_mail_of_boxes_within_boxes_the_header_is_read(raw: bytes) -> None:
    mail = parse(raw)
    assert (mail.sender.address, mail.subject, "PARTS_LEFT_OUT" in mail.mended) == ("a@b.example", "x", True)


@pytest.mark.parametrize(
    "raw",
    [
        b"From: " + b"(" * 500_000,
        b"Subject: " + b"=?utf-8?q?x?= " * 60_000,
        b"Content-Type: text/plain; " + b"a=b;" * 200_000,
        b"Content-Type: text/html\r\n\r\n" + b"<div>" * 200_000,
        b"X: y\r\n\r\nHello\r\n" + b"-- \r\n" * 200_000,
        b"X: y\r\n\r\nHello\r\n" + b"__________\r\n" * 80_000,
    ],
    ids=lambda raw: repr(raw[:30]),
)
def test_a_mail_full_of_one_thing_is_read_in_no_time(raw: bytes) -> None:
    """It took seconds, half a minute in one case, in which the service did nothing else."""
    began = time.thread_time()
    cut(parse(raw + b"\r\n\r\n").text, RULES)
    assert time.thread_time() - began < 2.0


def test_html_nested_beyond_reading_is_still_text() -> None:
    mail = parse(b"Content-Type: text/html\r\n\r\n" + b"<div>" * 5000 + b"Good morning" + b"</div>" * 5000)
    assert mail.text == "Good morning"


HEAD = b"From: a@school.cn\r\nSubject: h\r\nMIME-Version: 1.0\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        b"From: a@school.cn\r\n" + (b"To: " + b"a" * 19_000 + b"\r\n") * 20 + b"\r\nhi",
        b"From: " + b"a" * 19_000 + b"\r\n\r\nhi",
        HEAD + b"Content-Type: text/plain; charset=punycode\r\n\r\nabc-" + b"a" * 800_000,
        HEAD + b"Content-Type: text/plain; charset=idna\r\n\r\nxn--a-" + b"a" * 800_000,
        b"From: a@school.cn\r\nSubject: =?punycode?q?abc-" + b"a" * 19_000 + b"?=\r\n\r\nhi",
        HEAD + b"Content-Disposition: attachment; filename*=punycode''abc-" + b"a" * 19_000 + b"\r\n\r\nhi",
        HEAD + b"Content-Type: text/plain; format=flowed\r\n\r\n" + b"ab \r\n" * 200_000,
    ],
    ids=["recipients", "sender", "punycode", "idna", "subject", "file name", "flowed"],
)
def test_no_mail_holds_its_reader(raw: bytes) -> None:
    began = time.thread_time()
    parse(raw)
    # Each of them took from two seconds to minutes when something of it was read by the square of its length.
    assert time.thread_time() - began < 1.0


def test_what_is_no_text_stands_in_nothing_that_is_kept() -> None:
    mail = parse(
        HEAD + b"Content-Type: multipart/mixed; boundary=q\r\n\r\n"
        b"--q\r\nContent-Type: text/plain; charset*=a\0b'en'utf-8\r\n\r\nhi\r\n"
        b'--q\r\nContent-Type: applica\0tion/pdf; name="a\0.pdf"\r\n\r\nxx\r\n'
        b"--q\r\nContent-Type: application/x; name*=a\0''%D6%D0.doc\r\n\r\nxx\r\n--q--\r\n"
    )
    assert mail.text == "hi"
    assert [part.name for part in mail.attachments] == ["a.pdf", "中.doc"]
    assert "\\x00" not in repr(mail)
