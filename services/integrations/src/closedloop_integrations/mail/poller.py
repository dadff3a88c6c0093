"""Fetches what lies new in our mailbox. Runs in the courier.

A message is known by mailbox, UIDVALIDITY and UID; where the server has renumbered its messages all are read again and
known mails are recognised by their content.
"""

from __future__ import annotations

from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis.courier.desk import Desk
from closedloop_integrations.mail.imap import ImapMailbox, Mailbox, TooLargeError
from closedloop_integrations.polling import Turn, turn
from closedloop_integrations.settings import outside

SOURCE = "mail"


def poll(desk: Desk) -> None:
    url = outside().imap_url.get_secret_value()
    with turn(desk, SOURCE, "inbox", configured=bool(url)) as mine:
        if mine is not None:
            with ImapMailbox(url, mine.rules) as mailbox:
                fetch_new(desk, mine, mailbox)


def fetch_new(desk: Desk, mine: Turn, mailbox: Mailbox) -> None:
    """The cursor is (`validity`, `uid`) of the last message fetched."""
    cursor = mine.cursor
    last = int(cursor.get("uid", 0)) if cursor.get("validity") == mailbox.uid_validity else 0
    waiting = mailbox.after(last)
    for message in waiting[: mine.rules.max_requests]:
        source_id = f"{mailbox.folder}:{mailbox.uid_validity}:{message.uid}"
        id = uuid5(NAMESPACE_URL, f"{SOURCE}:{source_id}")
        too_large = message.size > mine.rules.max_bytes
        if not too_large:
            try:
                raw, arrived = mailbox.fetch(message.uid)
            except TooLargeError:
                too_large = mine.unfinished = True
            else:
                _observe(desk, source_id, raw, arrived or desk.now(), id=str(id))
                mine.newest = arrived
                mine.read += 1
        if too_large:
            refused = events.ItemRefused(source=SOURCE, kind="mail", key=source_id, reason="MAIL_TOO_LARGE")
            refused.message = f"said to have {message.size} bytes; we read at most {mine.rules.max_bytes}"
            refused.fetch_time.FromDatetime(desk.now())
            desk.observe(refused, SOURCE, id=id)
            mine.refused += 1
        mine.cursor = {"validity": mailbox.uid_validity, "uid": message.uid}
        if mine.unfinished:
            # The connection is given up; the next turn goes on behind it.
            return
    mine.unfinished = len(waiting) > mine.rules.max_requests


def _observe(desk: Desk, source_id: str, raw: bytes, received: datetime, *, id: str) -> None:
    fetched = events.MailFetched(source=SOURCE, source_id=source_id, raw=raw)
    fetched.receive_time.FromDatetime(received)
    desk.observe(fetched, SOURCE, id=id)
