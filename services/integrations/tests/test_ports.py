"""One suite for every port: the adapter and the simulator it is tried against speak one protocol, and published examples hold.

What both say of themselves might be wrong together; so where the other side publishes an example of its own (WeCom,
DingTalk, Alibaba), that is the third party, and mail is spoken by libraries that know neither of us (smtplib, imaplib,
aiosmtpd).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from closedloop_chassis import errors
from closedloop_chassis.courier import signatures
from closedloop_chassis.courier.parts import Request
from closedloop_devstack.simulators.poster import Poster
from closedloop_integrations.conversations import envelope
from closedloop_integrations.conversations.envelope import Keys
from closedloop_integrations.deliveries import sms
from closedloop_integrations.outbound import OutsideError

from .ports import AES_KEY, PORTS, Port

LISTENING = [port for port in PORTS if port().simulator() is not None]
DOCUMENT = Path(__file__).parents[3] / "docs" / "outside-systems.md"

# Published by Tencent with its library and by Alibaba with its encryptor.
TENCENT = Keys("QDG6eK", AES_KEY, "wx5823bf96d3bd56c7")
ECHO = "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ=="
HELLO = (
    "RypEvHKD8QQKFhvQ6QleEB4J58tiPdvo+rtK1I9qca6aM/wvqnLSV5zEPeusUiX5L5X/0lWfrf0QADHHhGd3QczcdCUpj911L3vg3W/sYYvuJTs3TUUk"
    "SUXxaccAS0qhxchrRYt66wiSpGLYL42aM6A8dTT+6k4aSknmPj48kzJs8qLjvd4Xgpue06DOdnLxAUHzM6+kDZ+HMZfJYuR+LtwGc2hgf5gsijff0ekU"
    "NXZiqATP7PF5mZxZ3Izoun1s4zG4LUMnvw2r+KqCKIw+3IQH03v+BCA9nMELNqbSf6tiWSrXJB3LAVGUcallcrw8V2t9EL4EhzJWrQUax5wLVMNS0+rU"
    "PA3k22Ncx4XXZS9o0MBH27Bo6BpNelZpS+/uh9KsNlY6bHCmJU9p8g7m3fVKn28H3KDYA5Pl/T8Z1ptDAVe0lXdQ2YoyyH2uyPIGHBZZIs2pDBS8R07+"
    "qN+E7Q=="
)
ALIBABA = Keys("123456", "4g5j64qlyl3zvetqxz5jiocdr586fn2zvjpa8zls3ij", "suite4xxxxxxxxxxxxxxx")
SUITE = (
    "1a3NBxmCFwkCJvfoQ7WhJHB+iX3qHPsc9JbaDznE1i03peOk1LaOQoRz3+nlyGNhwmwJ3vDMG+OzrHMeiZI7gTRWVdUBmfxjZ8Ej23JVYa9VrYeJ5as7"
    "XM/ZpulX8NEQis44w53h1qAgnC3PRzM7Zc/D6Ibr0rgUathB6zRHP8PYrfgnNOS9PhSBdHlegK+AGGanfwjXuQ9+0pZcy0w9lQ=="
)


@pytest.fixture
def port(request: pytest.FixtureRequest) -> Iterator[Port]:
    """With its simulator running."""
    made: Port = request.param()
    with made.simulator() or nullcontext() as made.system:
        yield made


def named(port: type[Port]) -> str:
    return port.name


@pytest.mark.mission("S68", "S69", "S70", "S71", "S73")
@pytest.mark.parametrize("port", PORTS, indirect=True, ids=named)
def test_what_one_side_gives_the_other_gets(port: Port) -> None:
    given, got = port.exchange()
    assert given
    assert got == given


@pytest.mark.mission("S68", "S69", "S71", "S73")
@pytest.mark.parametrize("port", [port for port in PORTS if port.keyed], indirect=True, ids=named)
def test_a_wrong_key_opens_nothing(port: Port) -> None:
    with pytest.raises(OutsideError):
        port.exchange(right=False)
    given, got = port.exchange()
    assert got == given, "and who has the right one is served"


@pytest.mark.parametrize("port", LISTENING, indirect=True, ids=named)
def test_who_is_away_is_missed_and_found_again(port: Port) -> None:
    port.system.stop()
    with pytest.raises(OutsideError):
        port.exchange()
    port.system.start()
    given, got = port.exchange()
    assert got == given


@pytest.mark.parametrize("port", [port for port in PORTS if port.paced], indirect=True, ids=named)
def test_who_is_told_to_wait_waits(port: Port) -> None:
    receipt = port.hurry()
    assert receipt.outcome == "deferred"


def test_the_guide_lists_every_port_with_its_proof() -> None:
    table = DOCUMENT.read_text("utf-8")
    assert not [port.name for port in PORTS if f"| {port.name} |" not in table]


@pytest.mark.mission("S68")
@pytest.mark.parametrize(
    ("keys", "signature", "stamp", "nonce", "sealed", "says"),
    [
        (TENCENT, "5c45ff5e21c57e6ad56bac8758b79b1d9ac89fd3", "1409659589", "263014780", ECHO, "1616140317555161061"),
        (TENCENT, "477715d11cdb4164915debcba66cb864d751f3e6", "1409659813", "1372623149", HELLO, "hello"),
        (ALIBABA, "5a65ceeef9aab2d149439f82dc191dd6c5cbe2c0", "1445827045067", "nEXhMP4r", SUITE, "LPIdSnlF"),
    ],
    ids=["wecom address", "wecom message", "dingtalk event"],
)
def test_what_the_platforms_publish_is_opened(
    keys: Keys, signature: str, stamp: str, nonce: str, sealed: str, says: str
) -> None:
    assert envelope.signed(keys, signature, stamp, nonce, sealed)
    assert not envelope.signed(keys, signature, stamp, nonce + "0", sealed)
    assert says in envelope.opened(keys, sealed)
    assert envelope.opened(keys, envelope.sealed(keys, "答复")) == "答复"
    with pytest.raises(errors.PermissionDenied, match="somebody else"):
        envelope.opened(Keys(keys.token, keys.aes_key, "wx0"), sealed)


@pytest.mark.mission("S72", "U15")
def test_what_standard_webhooks_publishes_is_signed_alike() -> None:
    """The example that comes with its libraries."""
    secret, id, stamp = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330"
    published, body = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", b'{"test": 2432232314}'
    assert signatures.sign(secret, id, stamp, body) == Poster(secret).sign(id, stamp, body) == published
    headers = {"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": f"v1,other {published}"}
    signatures.check(secret, Request("POST", "/hooks/x", headers, {}, body), float(stamp), 1)
    with pytest.raises(errors.Unauthenticated, match="does not fit"):
        signatures.check(secret, Request("POST", "/hooks/x", headers, {}, body + b" "), float(stamp), 1)


@pytest.mark.parametrize(
    "sealed", ["", "?", "AAAA", HELLO[:-8], HELLO[4:], "A" * 44, "答复", ECHO[:22] + "A" + ECHO[23:]]
)
def test_a_broken_envelope_is_refused_and_breaks_nothing(sealed: str) -> None:
    with pytest.raises((errors.InvalidArgument, errors.PermissionDenied)):
        envelope.opened(TENCENT, sealed)


@pytest.mark.mission("S73")
def test_short_messages_are_signed_as_the_platform_publishes_it() -> None:
    """The example of help.aliyun.com/document_detail/2712195.html."""
    query = {"ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd", "RegionId": "cn-shanghai"}
    given = sms.headers(
        "ecs.cn-shanghai.aliyuncs.com",
        "RunInstances",
        "2014-05-26",
        "2023-10-26T10:22:32Z",
        "3156853299f313e23d1673dc12e1703d",
    )
    signed = sms.authorization("YourAccessKeyId", "YourAccessKeySecret", query, given)
    assert signed == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;"
        "x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )
