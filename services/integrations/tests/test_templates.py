"""Words of messages: languages, topics, fields that are missing, and what a template may not do."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closedloop_integrations.deliveries.templates import FieldMissing, Template, TemplateRules, Words, fill, words_of

RULES = TemplateRules()
FIELDS = {
    "wake_up": {"headline": "您关注的黑板有更新", "text": "王老师您好"},
    "quote_issued": {"number": "Q-1", "total": "¥100.00"},
    "task_assigned": {"title": "联系客户", "due_time": "2026-01-05T09:00:00+00:00"},
    "approval_waiting": {"title": "25% 折扣", "submitter_name": "张三"},
    "approval_escalated": {"title": "25% 折扣"},
    "lead_assigned": {"company_name": "济南三中", "response_due_time": "2026-01-05T11:00:00+08:00"},
    "lead_asked_again": {"company_name": "济南三中", "response_due_time": "2026-01-05T11:00:00+08:00"},
    "leads_assigned": {"count": 12.0, "companies": "济南三中", "response_due_time": "2026-01-05T11:00:00+08:00"},
    "digest": {"count": "2", "items": "联系客户，请于明天前完成。"},
    "reminder": {"day": "2026-01-06", "time_zone": "Asia/Shanghai", "title": "回访济南三中"},
    "lead_reassigned": {"company_name": "济南三中", "owner_name": "李四"},
}


@pytest.mark.mission("S73")
@pytest.mark.parametrize("name", sorted(RULES.templates))
@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_template_speaks_both_languages(name: str, language: str) -> None:
    words = words_of(RULES.templates[name], "", language, "zh")
    subject, text = (fill(part, FIELDS[name], "Asia/Shanghai") for part in (words.subject, words.text))
    assert subject.strip()
    assert len(text) > 10
    assert not set("{}[]") & set(subject + text)
    assert any(str(value) in subject + text for value in FIELDS[name].values())


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        ("你好{name}", {"name": "张三"}, "你好张三"),
        ("任务[[：{title}]][[，{due}前]]。", {"title": "A"}, "任务：A。"),
        ("[[{a}和{b}]]", {"a": "1"}, ""),
        ("{amount}元", {"amount": 1234567.5}, "1,234,567.50元"),
        ("{count}个", {"count": 3.0}, "3个"),
        ("{due}", {"due": "2026-01-05T11:00:00+00:00"}, "2026-01-05 19:00"),
        ("{day}", {"day": "2026-01-05"}, "2026-01-05"),
        ("{a.__class__} {0}", {"0": "x"}, "{a.__class__} x"),
        ("{a}", {"a": "{b}", "b": "no"}, "{b}"),
    ],
)
def test_fields_are_put_in(text: str, fields: dict[str, object], expected: str) -> None:
    assert fill(text, fields, "Asia/Shanghai") == expected


def test_fields_that_are_missing_are_all_named() -> None:
    with pytest.raises(FieldMissing) as missing:
        fill("{a} {b} {a} [[{c}]]", {"b": ""})
    assert missing.value.fields == ("a", "b")


def test_language_and_topic_choose_the_words() -> None:
    template = Template(
        words={"zh": Words(text="问候"), "en": Words(text="hello")}, topics={"news": {"zh": Words(text="新闻")}}
    )
    chosen = [
        words_of(template, topic, language, "zh").text
        for topic, language in (("", "en-GB"), ("", "fr"), ("news", "en"))
    ]
    assert chosen == ["hello", "问候", "新闻"]


@given(st.text(max_size=100), st.dictionaries(st.sampled_from("abc"), st.text(max_size=20)))
def test_no_text_breaks_the_filling(text: str, fields: dict[str, str]) -> None:
    wanted = set(re.findall(r"\{([abc])\}", text))
    if wanted <= {name for name, value in fields.items() if value}:
        assert isinstance(fill(text, fields | dict.fromkeys(re.findall(r"\{(\w+)\}", text), "x")), str)
