"""Fetches what lies new in our mailbox. Runs in the courier.

A message is known by mailbox, UIDVALIDITY and UID; where the server has renumbered its messages all are read again and
known mails are recognised by their content.
"""

from __future__ import annotations

from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis.courier.desk import Desk
from closedloop_integrations.mail.imap import ImapMailbox, Mailbox
from closedloop_integrations.polling import Turn, turn
from closedloop_integrations.settings import outside

SOURCE = "mail"


def poll(desk: Desk) -> None:
    url = outside().imap_url.get_secret_value()
    with turn(desk, SOURCE, "inbox", configured=bool(url)) as mine:
        if mine is not None:
            with ImapMailbox(url, mine.rules.timeout_seconds) as mailbox:
                fetch_new(desk, mine, mailbox)


def fetch_new(desk: Desk, mine: Turn, mailbox: Mailbox) -> None:
    """The cursor is (`validity`, `uid`) of the last message fetched."""
    cursor = mine.cursor
    last = int(cursor.get("uid", 0)) if cursor.get("validity") == mailbox.uid_validity else 0
    waiting = mailbox.after(last)
    for message in waiting[: mine.rules.max_requests]:
        source_id = f"{mailbox.folder}:{mailbox.uid_validity}:{message.uid}"
        id = uuid5(NAMESPACE_URL, f"{SOURCE}:{source_id}")
        if message.size > mine.rules.max_bytes:
            refused = events.ItemRefused(source=SOURCE, kind="mail", key=source_id, reason="MAIL_TOO_LARGE")
            refused.message = f"{message.size} bytes; we read at most {mine.rules.max_bytes}"
            refused.fetch_time.FromDatetime(desk.now())
            desk.observe(refused, SOURCE, id=id)
            mine.refused += 1
        else:
            raw, arrived = mailbox.fetch(message.uid)
            _observe(desk, source_id, raw, arrived or desk.now(), id=str(id))
            mine.newest = arrived
            mine.read += 1
        mine.cursor = {"validity": mailbox.uid_validity, "uid": message.uid}
    mine.unfinished = len(waiting) > mine.rules.max_requests


def _observe(desk: Desk, source_id: str, raw: bytes, received: datetime, *, id: str) -> None:
    fetched = events.MailFetched(source=SOURCE, source_id=source_id, raw=raw)
    fetched.receive_time.FromDatetime(received)
    desk.observe(fetched, SOURCE, id=id)
