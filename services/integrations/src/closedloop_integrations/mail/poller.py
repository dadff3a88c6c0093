"""Fetches what lies new in our mailbox. Runs in the courier.

A message is known by mailbox, UIDVALIDITY and UID; where the server has renumbered its messages all are read again and
known mails are recognised by their content.
"""

from __future__ import annotations

from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis.courier.desk import Desk
from closedloop_integrations.mail.imap import ImapMailbox, Mailbox, TooLargeError, UngivenError
from closedloop_integrations.outbound import OutsideError
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
    """The cursor is (`validity`, `uid`) of the last message fetched, and `tries` of the one behind it.

    A message the server cannot give, as often as it is asked, is set aside: it must not keep those behind it."""
    known = mine.cursor if mine.cursor.get("validity") == mailbox.uid_validity else {}
    last, tries = int(known.get("uid", 0)), dict(known.get("tries", {}))
    waiting = mailbox.after(last)
    for message in waiting[: mine.rules.max_requests]:
        source_id = f"{mailbox.folder}:{mailbox.uid_validity}:{message.uid}"
        id = uuid5(NAMESPACE_URL, f"{SOURCE}:{source_id}")
        reason, explanation = "", f"said to have {message.size} bytes; we read at most {mine.rules.max_bytes}"
        if message.size > mine.rules.max_bytes:
            reason = "MAIL_TOO_LARGE"
        else:
            try:
                raw, arrived = mailbox.fetch(message.uid)
            except TooLargeError:
                reason, mine.unfinished = "MAIL_TOO_LARGE", True
            except OutsideError as error:
                tried = tries.get(str(message.uid), 0) + 1
                if tried < mine.rules.message_tries:
                    mine.cursor = {"validity": mailbox.uid_validity, "uid": last, "tries": {str(message.uid): tried}}
                    raise
                reason, explanation = "MAIL_NOT_GIVEN", f"asked {tried} times: {error}"
                mine.unfinished = not isinstance(error, UngivenError)
            else:
                _observe(desk, source_id, raw, arrived or desk.now(), id=str(id))
                mine.newest = arrived
                mine.read += 1
        if reason:
            refused = events.ItemRefused(source=SOURCE, kind="mail", key=source_id, reason=reason)
            refused.message = explanation[:300]
            refused.fetch_time.FromDatetime(desk.now())
            desk.observe(refused, SOURCE, id=id)
            mine.refused += 1
        last = message.uid
        mine.cursor = {"validity": mailbox.uid_validity, "uid": last}
        if mine.unfinished:
            # The connection is given up; the next turn goes on behind it.
            return
    mine.unfinished = len(waiting) > mine.rules.max_requests


def _observe(desk: Desk, source_id: str, raw: bytes, received: datetime, *, id: str) -> None:
    fetched = events.MailFetched(source=SOURCE, source_id=source_id, raw=raw)
    fetched.receive_time.FromDatetime(received)
    desk.observe(fetched, SOURCE, id=id)
