"""The simulated mail server, through Python's own clients and imap-tools."""

from __future__ import annotations

import imaplib
import smtplib
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage

import pytest
from imap_tools import AND, NOT, OR, MailBoxUnencrypted, MailMessageFlags
from imap_tools.errors import MailboxLoginError

from closedloop_devstack.simulators.mail import MailServer

pytestmark = pytest.mark.timeout(30)
SALES, BUYER = "sales@ours.test", "wang@school.test"


class Watch:
    now = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def server(watch: Watch) -> Iterator[MailServer]:
    with MailServer(clock=watch) as running:
        yield running


def mail(subject: str = "问候", text: str = "王老师，您好。\n.点开头\n", to: str = BUYER) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = f"销售 <{SALES}>", to, subject
    message["Message-ID"] = f"<{subject.encode().hex()}@ours.test>"
    message["Date"] = "Mon, 02 Mar 2026 07:00:00 +0800"
    message.set_content(text)
    return message


def send(server: MailServer, *messages: EmailMessage) -> None:
    with smtplib.SMTP(server.host, server.port) as client:
        for message in messages:
            client.send_message(message)


def client(server: MailServer, address: str = BUYER) -> MailBoxUnencrypted:
    box = MailBoxUnencrypted(server.host, server.imap_port, timeout=10)
    box.login(address, "closedloop")
    return box


def raw_imap(server: MailServer) -> imaplib.IMAP4:
    imap = imaplib.IMAP4(server.host, server.imap_port, timeout=10)
    imap.login(BUYER, "closedloop")
    imap.select()
    return imap


def test_what_smtp_takes_imap_gives_back(server: MailServer) -> None:
    send(server, mail(to=f"王老师 <{BUYER}>, li@school.test"))
    stored = server.mailbox(BUYER).messages[0]
    assert (stored.subject, stored.text) == ("问候", "王老师，您好。\n.点开头\n")
    with client(server) as box:
        got = list(box.fetch(mark_seen=False))
        assert [(m.subject, m.text.replace("\r\n", "\n"), m.from_) for m in got] == [("问候", stored.text, SALES)]
        assert got[0].uid == "1"
        assert got[0].headers["return-path"] == (f"<{SALES}>",)
    assert len(server.mailbox("li@school.test").messages) == 1


def test_smtp_refuses_unknown_addresses_puts_off_and_authenticates(server: MailServer) -> None:
    server.refused, server.deferrals = {"gone@school.test"}, 1
    with smtplib.SMTP(server.host, server.port) as smtp:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            smtp.login(SALES, "wrong")
        smtp.login(SALES, "closedloop")
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            smtp.send_message(mail(to="gone@school.test"))
        assert refused.value.recipients["gone@school.test"][0] == 550
        with pytest.raises(smtplib.SMTPDataError) as deferred:
            smtp.send_message(mail())
        assert deferred.value.smtp_code == 451
        smtp.send_message(mail())
    assert len(server.mailbox(BUYER).messages) == 1
    assert server.mailbox("gone@school.test").messages == []


def test_reading_marks_seen_and_peeking_does_not(server: MailServer) -> None:
    send(server, mail("一"), mail("二"), mail("三"))
    with client(server) as box:
        assert [m.subject for m in box.fetch(AND(seen=False), mark_seen=False)] == ["一", "二", "三"]
        assert [m.subject for m in box.fetch(AND(seen=False), limit=1)] == ["一"]
        assert [m.subject for m in box.fetch(AND(seen=False), mark_seen=False, bulk=True)] == ["二", "三"]
        box.flag(["2"], MailMessageFlags.FLAGGED, True)
        box.flag(["1"], MailMessageFlags.SEEN, False)
        assert box.uids(AND(flagged=True)) == ["2"]
        assert box.uids(AND(seen=False)) == ["1", "2", "3"]
        assert [m.flags for m in box.fetch(AND(uid="2"), mark_seen=False)] == [("\\Flagged",)]
    assert [sorted(m.flags) for m in server.mailbox(BUYER).messages] == [[], ["\\Flagged"], []]


def test_search_by_uid_date_header_and_size(server: MailServer, watch: Watch) -> None:
    send(server, mail("one"), mail("two"))
    watch.now += timedelta(days=2)
    send(server, mail("three", "Angebot " * 2000))
    server.deliver(b"From: x@y.test\nSubject: bare\n\nno recipient", BUYER)
    with client(server) as box:
        # 23:00 UTC on 1 March is already the 2nd in China, where this server stands.
        assert box.uids(AND(date_gte=date(2026, 3, 2))) == ["1", "2", "3", "4"]
        assert box.uids(AND(date_gte=date(2026, 3, 3))) == ["3", "4"]
        assert box.uids(AND(date_lt=date(2026, 3, 3))) == ["1", "2"]
        assert box.uids(AND(uid="3:*")) == ["3", "4"]
        assert box.uids(AND(uid="9:*")) == ["4"]
        assert box.uids(AND(from_="x@y.test")) == ["4"]
        assert box.uids(AND(size_gt=5000)) == ["3"]
        assert box.uids(AND(subject="问", all=True), charset="UTF-8") == []
        assert box.uids(OR(subject=["one", "three"])) == ["1", "3"]
        assert box.uids(NOT(text="angebot")) == ["1", "2", "4"]


def test_uids_survive_removal_and_sequence_numbers_move(server: MailServer) -> None:
    send(server, mail("a"), mail("b"), mail("c"))
    with client(server) as first, client(server) as second:
        assert first.numbers() == ["1", "2", "3"]
        second.delete(["2"])
        assert first.client.noop()[0] == "OK"
        assert first.client.untagged_responses["EXPUNGE"] == [b"2"]
        assert first.numbers() == ["1", "2"]
        assert first.uids() == ["1", "3"]
        send(server, mail("d"))
        assert first.uids() == ["1", "3", "4"]


def test_folders_status_and_read_only(server: MailServer) -> None:
    send(server, mail("a"))
    with client(server) as box:
        assert [folder.name for folder in box.folder.list()] == ["INBOX"]
        state = box.folder.status("INBOX")
        uidvalidity = server.mailbox(BUYER).uidvalidity
        assert (state["MESSAGES"], state["UNSEEN"], state["UIDNEXT"], state["UIDVALIDITY"]) == (1, 1, 2, uidvalidity)
        box.folder.set("INBOX", readonly=True)
        assert [m.subject for m in box.fetch()] == ["a"]
        status, _ = box.client.uid("STORE", "1", "+FLAGS", "(\\Seen)")
        assert status == "NO"
        assert not server.mailbox(BUYER).messages[0].flags


def test_idle_tells_of_arrivals_and_removals(server: MailServer) -> None:
    with client(server) as box, client(server) as other:
        with box.idle as idle:
            threading.Timer(0.2, lambda: send(server, mail("neu"))).start()
            assert idle.poll(timeout=10) == [b"* 1 EXISTS"]
            deleting = threading.Timer(0.2, lambda: other.delete("1"))
            deleting.start()
            assert idle.poll(timeout=10) == [b"* 1 EXPUNGE"]
            # Its own answer is still on the way when ours is here.
            deleting.join()
        assert box.uids() == []


def test_partial_and_header_fetches_with_imaplib(server: MailServer) -> None:
    send(server, mail("Hello"))
    imap = raw_imap(server)
    raw = server.mailbox(BUYER).messages[0].raw
    _, whole = imap.fetch("1", "(RFC822 RFC822.SIZE INTERNALDATE)")
    assert whole[0][1] == raw  # type: ignore[index]
    assert f"RFC822.SIZE {len(raw)}".encode() in whole[1]  # type: ignore[operator]
    assert b'INTERNALDATE " 2-Mar-2026 07:00:00 +0800"' in whole[1]  # type: ignore[operator]
    _, fields = imap.uid("FETCH", "1", "(BODY.PEEK[HEADER.FIELDS (SUBJECT DATE)])")
    assert fields[0][1] == b"Subject: Hello\r\nDate: Mon, 02 Mar 2026 07:00:00 +0800\r\n\r\n"
    _, part = imap.fetch("1", "(BODY.PEEK[TEXT]<2.4>)")
    assert part[0][1] == raw.partition(b"\r\n\r\n")[2][2:6]  # type: ignore[index]
    assert imap.status("INBOX", "(MESSAGES)")[1] == [b"INBOX (MESSAGES 1)"]
    with pytest.raises(imaplib.IMAP4.error, match="not served"):
        imap.fetch("1", "(ENVELOPE)")
    imap.logout()


def test_literals_are_read_in_both_forms(server: MailServer) -> None:
    with socket.create_connection((server.host, server.imap_port), timeout=5) as wire, wire.makefile("rb") as answers:
        assert answers.readline().startswith(b"* OK [CAPABILITY IMAP4rev1 IDLE")
        wire.sendall(b"a1 LOGIN {16}\r\n")
        assert answers.readline().startswith(b"+ ")
        wire.sendall(b"wang@school.test {10+}\r\nclosedloop\r\na2 SELECT inbox\r\n")
        assert answers.readline() == b"a1 OK LOGIN completed\r\n"
        while (line := answers.readline()).startswith(b"*"):
            assert line.strip()
        assert line == b"a2 OK [READ-WRITE] SELECT completed\r\n"
        for wrong in (b"a3 FETCH 1 (FLAGS", b"a3 UID FETCH x FLAGS", b"a3 SEARCH SINCE gestern", b"a3 DANCE", b"a3"):
            wire.sendall(wrong + b"\r\n")
            assert answers.readline().startswith(b"a3 BAD ")
        wire.sendall(b"a4 SEARCH CHARSET KOI8-R ALL\r\na5 SELECT Trash\r\na6 LOGOUT\r\n")
        assert answers.readline().startswith(b"a4 NO [BADCHARSET")
        assert answers.readline().startswith(b"a5 NO [NONEXISTENT]")
        assert answers.read() == b"* BYE see you\r\na6 OK LOGOUT completed\r\n"


def test_a_wrong_password_is_refused(server: MailServer) -> None:
    with pytest.raises(MailboxLoginError):
        MailBoxUnencrypted(server.host, server.imap_port, timeout=10).login(BUYER, "guess")


def test_a_renumbered_folder_has_a_new_uidvalidity(server: MailServer) -> None:
    send(server, mail("a"), mail("b"))
    box = client(server)
    before = box.folder.status("INBOX")["UIDVALIDITY"]
    server.mailbox(BUYER).renumber()
    with pytest.raises(imaplib.IMAP4.abort):
        box.uids()
    with client(server) as again:
        assert again.folder.status("INBOX")["UIDVALIDITY"] == before + 1


def test_a_reply_is_threaded_and_quotes(server: MailServer) -> None:
    sent = mail("智慧黑板新版")
    send(server, sent)
    server.reply(server.mailbox(BUYER).messages[0], "我已调任教育局。", "王老师 <wang@edu.test>")
    with client(server, SALES) as box:
        answer = next(iter(box.fetch()))
    assert (answer.subject, answer.from_) == ("Re: 智慧黑板新版", "wang@edu.test")
    assert answer.headers["in-reply-to"] == (sent["Message-ID"],)
    assert answer.text.startswith("我已调任教育局。")
    assert "> 王老师，您好。" in answer.text


def test_mail_survives_a_restart_of_the_server(server: MailServer) -> None:
    send(server, mail("a"))
    smtp, imap = server.port, server.imap_port
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, imap), timeout=2)
    server.start()
    assert (server.port, server.imap_port) == (smtp, imap)
    with client(server) as box:
        assert box.uids() == ["1"]
