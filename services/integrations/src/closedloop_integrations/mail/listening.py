"""Listens at the mailbox (IMAP IDLE), so that what arrives is fetched at once and not at the next turn. Runs in the courier.

Nothing depends on it: who does not hear fetches at its interval, and a server that knows no IDLE is left alone for as long.
"""

from __future__ import annotations

import threading
import time

from closedloop_chassis.courier.desk import Desk
from closedloop_integrations.mail.imap import ImapMailbox
from closedloop_integrations.mail.poller import SOURCE
from closedloop_integrations.outbound import OutsideError
from closedloop_integrations.polling import in_force
from closedloop_integrations.settings import outside
from closedloop_integrations.sources.rules import SourceRules

MAY_CALL = (
    "SELECT configured AND NOT paused AND (retry_at IS NULL OR retry_at <= %(now)s) FROM source WHERE name = %(source)s"
)
WAKE = "UPDATE poll SET next_at = %(now)s WHERE source = %(source)s AND next_at > %(now)s"

_ears = threading.Lock()


def listen(desk: Desk) -> None:
    """Begins where nobody of this process listens, and does not wait for it: who listens holds up no shutdown."""
    url = outside().imap_url.get_secret_value()
    if url and _ears.acquire(blocking=False):
        threading.Thread(target=_listen, args=(desk, url), name="mail-idle", daemon=True).start()


def _listen(desk: Desk, url: str) -> None:
    try:
        with desk.connection() as connection:
            rules = in_force(connection, SourceRules, desk.now())
            row = connection.execute(MAY_CALL, {"source": SOURCE, "now": desk.now()}).fetchone()
        limits = rules.poll(SOURCE)
        try:
            if row and row[0]:
                with ImapMailbox(url, limits) as mailbox:
                    if mailbox.wait(limits.idle_seconds):
                        wake(desk)
                    return
        except OutsideError as error:
            # The poll meets the same, and opens the circuit.
            desk.log.info("mailbox not listened at", error=str(error))
        time.sleep(limits.every_seconds)
    finally:
        _ears.release()


def wake(desk: Desk) -> None:
    with desk.connection() as connection:
        connection.execute(WAKE, {"source": SOURCE, "now": desk.now()})
