"""Facts are read out of sentences, in Chinese and English, with the sentence that says so."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from closedloop_integrations.mail.facts import facts_in, sentences
from closedloop_integrations.mail.phrases import FactRule
from closedloop_integrations.mail.rules import MailRules, language_of

RULES = MailRules()

CASES: list[tuple[str, str, dict[str, str]]] = [
    ("王老师好，我已调任信息中心主任，新岗位仍负责采购。", "job_change", {"title": "信息中心主任"}),
    ("本人自2月起担任采购处处长。", "job_change", {"title": "采购处处长"}),
    ("李明近日升任副总经理，特此告知。", "job_change", {"person": "李明", "title": "副总经理"}),
    ("我的岗位有调整。", "job_change", {}),
    ("我这边岗位有调整，后面再联系。", "job_change", {}),
    ("我已于上月从公司离职，谢谢您的关照。", "left_company", {}),
    ("王芳已经离职了。", "left_company", {"person": "王芳"}),
    ("后续请联系我的同事赵强（13812345678）。", "new_contact", {"person": "赵强", "phone": "13812345678"}),
    ("这个项目今后由陈刚负责，邮箱 cg@school.cn。", "new_contact", {"person": "陈刚", "email": "cg@school.cn"}),
    ("我们计划今年启动智慧校园二期建设。", "new_project", {"project": "智慧校园二期建设"}),
    ("学校拟采购86寸智慧黑板120块。", "new_project", {"project": "86寸智慧黑板120块"}),
    ("本人正在休假，1月12日回到公司。", "absence", {"until": "1月12日"}),
    ("我的手机号码已换成13900001111。", "contact_detail", {"phone": "13900001111"}),
    ("I have moved to the position of Head of Procurement.", "job_change", {"title": "Head of Procurement"}),
    ("My new role is IT director", "job_change", {"title": "IT director"}),
    (
        "In my new role as IT director I look after the network.",
        "job_change",
        {"title": "IT director I look after the network"},
    ),
    ("I am leaving the company at the end of March.", "left_company", {}),
    (
        "Please contact Jane Miller (jane@acme.com) from now on.",
        "new_contact",
        {"person": "Jane Miller", "email": "jane@acme.com"},
    ),
    ("Tom Baker will take over my projects.", "new_contact", {"person": "Tom Baker"}),
    ("We are planning to build a new data centre.", "new_project", {"project": "a new data centre"}),
    ("I am out of office until January 12.", "absence", {"until": "January 12"}),
    ("My new number is +86 139 0000 1111.", "contact_detail", {"phone": "+86 139 0000 1111"}),
    ("我没有离职，只是出差。", "absence", {}),
    ("您是否已经调任采购处？", "", {}),
    ("如果我们计划采购黑板，会通知您。", "", {}),
    ("I have not moved to another job.", "", {}),
    ("感谢您的来信，资料已收到。", "", {}),
]


@pytest.mark.mission("S32")
@pytest.mark.parametrize(("text", "kind", "expected"), CASES)
def test_a_sentence_says(text: str, kind: str, expected: dict[str, str]) -> None:
    found = facts_in(text, "personal", RULES)
    assert [fact.kind for fact in found] == ([kind] if kind else [])
    for fact in found:
        said = {**fact.values, **({"person": fact.person_name} if fact.person_name else {})}
        assert expected.items() <= said.items()
        assert text[fact.offset : fact.offset + len(fact.sentence)] == fact.sentence
        assert 0 < fact.confidence <= 1


@pytest.mark.mission("S32")
def test_several_facts_in_their_order() -> None:
    text = "张经理：\n我已调任基建处。后续请联系赵强。\n我们计划采购录播设备！"
    assert [fact.kind for fact in facts_in(text, "personal", RULES)] == ["job_change", "new_contact", "new_project"]


def test_machines_are_believed_less_and_bulk_not_at_all() -> None:
    text = "本人正在休假，1月12日回来。"
    [personal], [automatic] = (facts_in(text, nature, RULES) for nature in ("personal", "auto_reply"))
    assert automatic.confidence == pytest.approx(personal.confidence * RULES.automatic_factor)
    assert facts_in(text, "bulk", RULES) == facts_in(text, "bounce", RULES) == []


def test_the_rulebook_decides() -> None:
    rule = FactRule(name="mine", kind="new_project", pattern=r"要换(?P<project>投影)", confidence=0.9)
    [fact] = facts_in("我们要换投影。", "personal", MailRules(facts=(rule,)))
    assert (fact.rule, fact.values, fact.confidence) == ("mine", {"project": "投影"}, 0.9)
    assert facts_in("我们要换投影。", "personal", MailRules(facts=(rule,), least_confidence=0.95)) == []


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError):
        FactRule(name="bad", kind="absence", pattern="(", confidence=0.5)


@pytest.mark.parametrize(
    ("text", "language"), [("您好 hello", "zh"), ("hello 您", "zh"), ("hello world out there 您", "en"), ("123", "")]
)
def test_languages(text: str, language: str) -> None:
    assert language_of(text) == language


@given(st.text(alphabet=st.sampled_from("我已调任采购处。，！\n .离职请联系赵强 contact Jane I left?"), max_size=200))
def test_sentences_stand_where_they_say(text: str) -> None:
    for offset, sentence in sentences(text, MailRules().longest_sentence):
        assert text[offset : offset + len(sentence)] == sentence
        assert sentence == sentence.strip() != ""
    for fact in facts_in(text, "personal", RULES):
        assert text[fact.offset : fact.offset + len(fact.sentence)] == fact.sentence


def test_a_pattern_that_never_ends_stops_the_reading_and_nobody_else() -> None:
    endless = FactRule(name="endless", kind="absence", pattern="(a|aa)+b", confidence=0.9)
    rules = MailRules(facts=(*RULES.facts, endless), reading_seconds=0.2)
    before = time.process_time()
    found = facts_in("王芳已经离职了。" + "a" * 80 + "c。", "personal", rules)
    assert time.process_time() - before < 5
    assert [fact.kind for fact in found] == ["left_company"]
