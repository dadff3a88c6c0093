"""The simulated chat robots, as a sender sees them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from closedloop_devstack.simulators.chat import ChatRobots, dingtalk_sign

pytestmark = pytest.mark.timeout(30)


class Watch:
    now = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def robots(watch: Watch) -> Iterator[ChatRobots]:
    with ChatRobots(clock=watch, limit=3, dingtalk={"signed": "SEC1", "open": ""}) as running:
        yield running


def send(url: str, message: object, **query: int | str) -> int:
    answer = httpx.post(url, json=message, params={**httpx.URL(url).params, **query})
    assert answer.status_code == 200
    return int(answer.json()["errcode"])


def test_wecom_messages_are_taken_and_can_be_inspected(robots: ChatRobots) -> None:
    text = {"msgtype": "text", "text": {"content": "订单已审批", "mentioned_list": ["@all"]}}
    assert send(robots.wecom_url(), text) == 0
    assert send(robots.wecom_url(), {"msgtype": "markdown", "markdown": {"content": "**超时**"}}) == 0
    assert [(m.platform, m.kind, m.text, m.mentions) for m in robots.messages] == [
        ("wecom", "text", "订单已审批", ("@all",)),
        ("wecom", "markdown", "**超时**", ()),
    ]
    listed = httpx.get(f"{robots.url}/_control/messages").json()["messages"]
    assert (listed[0]["text"], listed[0]["received"]) == ("订单已审批", "2026-03-02T01:00:00+00:00")
    assert httpx.delete(f"{robots.url}/_control/messages").status_code == 204
    assert robots.messages == []


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"msgtype": "image", "image": {}}, 40008),
        ({"msgtype": "text"}, 44004),
        ({"msgtype": "text", "text": {"content": " "}}, 44004),
        ({"msgtype": "text", "text": {"content": "长" * 683}}, 45002),
        (["text"], 40008),
    ],
)
def test_wecom_refuses_what_it_cannot_show(robots: ChatRobots, message: object, code: int) -> None:
    assert send(robots.wecom_url(), message) == code
    assert robots.messages == []


def test_wecom_knows_its_keys(robots: ChatRobots) -> None:
    assert send(robots.wecom_url("guessed"), {"msgtype": "text", "text": {"content": "x"}}) == 93000


def test_dingtalk_checks_signature_and_time(robots: ChatRobots, watch: Watch) -> None:
    message = {"msgtype": "markdown", "markdown": {"title": "预警", "text": "**红**"}, "at": {"atMobiles": ["139"]}}
    url, now = robots.dingtalk_url("signed"), int(watch.now.timestamp() * 1000)
    assert send(url, message) == 310000
    assert send(url, message, timestamp=now, sign=dingtalk_sign("SEC2", now)) == 310000
    stale = now - 3_600_001
    assert send(url, message, timestamp=stale, sign=dingtalk_sign("SEC1", stale)) == 310000
    assert robots.messages == []
    assert send(url, message, timestamp=now, sign=dingtalk_sign("SEC1", now)) == 0
    assert [(m.platform, m.title, m.mentions) for m in robots.messages] == [("dingtalk", "预警", ("139",))]
    assert send(robots.dingtalk_url("open"), {"msgtype": "text", "text": {"content": "x"}}) == 0
    assert send(robots.dingtalk_url("open"), {"msgtype": "markdown", "markdown": {"text": "x"}}) == 40035
    assert send(robots.dingtalk_url("none"), message) == 300001


def test_the_sign_is_the_one_of_the_published_algorithm() -> None:
    # HMAC-SHA256 of "1700000000000\nSECabc" under "SECabc", computed by `openssl dgst -sha256 -hmac`.
    assert dingtalk_sign("SECabc", 1_700_000_000_000) == "jcUpW0QmtKduN03n4JqQ0PBosVjqnM8gU7fIIvsDmCM="


def test_too_many_messages_a_minute_are_refused_and_then_taken_again(robots: ChatRobots, watch: Watch) -> None:
    message = {"msgtype": "text", "text": {"content": "x"}}
    assert [send(robots.wecom_url(), message) for _ in range(4)] == [0, 0, 0, 45009]
    assert [send(robots.dingtalk_url("open"), message) for _ in range(4)] == [0, 0, 0, 130101]
    watch.now += timedelta(seconds=60)
    assert send(robots.wecom_url(), message) == 0


def test_a_broken_robot_answers_500_then_recovers(robots: ChatRobots) -> None:
    httpx.post(f"{robots.url}/_control/faults", json={"failures": 1})
    message = {"msgtype": "text", "text": {"content": "x"}}
    assert httpx.post(robots.wecom_url(), json=message).status_code == 500
    assert send(robots.wecom_url(), message) == 0
