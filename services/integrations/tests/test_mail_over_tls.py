"""Mail goes and comes over TLS, and not to a server whose certificate nobody vouches for."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from closedloop_devstack.simulators import certificates
from closedloop_devstack.simulators.mail import MailServer
from closedloop_integrations.deliveries.gateway import Letter
from closedloop_integrations.deliveries.smtp import SmtpGateway
from closedloop_integrations.mail.imap import ImapMailbox
from closedloop_integrations.outbound import NotSentError, OutsideError
from closedloop_integrations.sources.rules import PollRules

NOW = datetime(2026, 1, 5, tzinfo=UTC)
LIMITS = PollRules(timeout_seconds=30)
OURS = "sales@closedloop.test"
LOGIN = f"{quote(OURS, safe='')}:closedloop@127.0.0.1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def post(folder: Path) -> Iterator[MailServer]:
    context, _ = certificates.made(folder)
    with MailServer(tls=context) as server:
        yield server


def letter(text: str = "您好，新品已上市。") -> Letter:
    return Letter("d", OURS, "", "王老师", "", "新品", text, "<d@closedloop.test>", "", "", "service")


def urls(post: MailServer) -> list[str]:
    return [f"smtps://{LOGIN}:{post.smtps_port}", f"smtp+starttls://{LOGIN}:{post.port}"]


@pytest.mark.mission("S73")
def test_mail_goes_and_is_fetched_over_tls(post: MailServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "authority.pem"))
    # Larger than one record of TLS.
    text = "您好，新品已上市。\n" * 5000
    for url in urls(post):
        with SmtpGateway(url, f"Ours <{OURS}>", LIMITS, NOW) as gateway:
            assert gateway.send(letter(text)).outcome == "accepted"
            assert gateway._connection is not None
            assert isinstance(gateway._connection.sock, ssl.SSLSocket)
    assert len(post.mailbox(OURS).messages) == 2
    with ImapMailbox(f"imaps://{LOGIN}:{post.imaps_port}/INBOX", LIMITS) as mailbox:
        waiting = mailbox.after(0)
        assert len(waiting) == 2
        raw, _ = mailbox.fetch(waiting[0].uid)
        assert raw == post.mailbox(OURS).messages[0].raw
        assert mailbox.wait(0.2) is False


@pytest.mark.mission("S73")
def test_a_certificate_nobody_vouches_for_is_refused(post: MailServer, folder: Path, tmp_path: Path) -> None:
    before = len(post.mailbox(OURS).messages)
    certificates.made(tmp_path)
    for trusted in (None, tmp_path / "authority.pem"):
        with pytest.MonkeyPatch.context() as patch:
            if trusted:
                patch.setenv("SSL_CERT_FILE", str(trusted))
            for url in urls(post):
                with (
                    SmtpGateway(url, f"Ours <{OURS}>", LIMITS, NOW) as gateway,
                    pytest.raises(NotSentError, match="CERTIFICATE_VERIFY_FAILED"),
                ):
                    gateway.send(letter())
            with (
                pytest.raises(OutsideError, match="CERTIFICATE_VERIFY_FAILED"),
                ImapMailbox(f"imaps://{LOGIN}:{post.imaps_port}/INBOX", LIMITS),
            ):
                pass
    assert len(post.mailbox(OURS).messages) == before


@pytest.mark.mission("S73")
def test_another_servers_name_is_refused(post: MailServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "authority.pem"))
    url = urls(post)[0].replace("127.0.0.1", "localhost")
    with SmtpGateway(url, f"Ours <{OURS}>", LIMITS, NOW) as gateway, pytest.raises(NotSentError, match="CERTIFICATE"):
        gateway.send(letter())


@pytest.mark.mission("S73")
def test_no_password_goes_where_starttls_is_not_to_be_had() -> None:
    with MailServer() as plain:
        url = f"smtp+starttls://{LOGIN}:{plain.port}"
        with SmtpGateway(url, f"Ours <{OURS}>", LIMITS, NOW) as gateway, pytest.raises(NotSentError, match="STARTTLS"):
            gateway.send(letter())
        assert not plain.mailbox(OURS).messages
