"""What the courier of integrations runs: pollers that look outside, senders that hand over, webhooks.

Pollers tick every second and ask `polling.turn` whether it is their turn; intervals are the rulebook's.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from closedloop_chassis.courier.parts import Part, Poller, Webhook
from closedloop_integrations import feeds, hearing, polling
from closedloop_integrations.conversations import callbacks, meetings
from closedloop_integrations.deliveries import links, sender
from closedloop_integrations.erp import poller as erp
from closedloop_integrations.erp import waking
from closedloop_integrations.mail import listening, webhook
from closedloop_integrations.mail import poller as mail
from closedloop_integrations.notices import poller as notices
from closedloop_integrations.webhooks import sender as webhooks

TICK = timedelta(seconds=1)

PARTS: tuple[Part, ...] = (
    Poller("notices", TICK, notices.poll),
    Poller("mail", TICK, mail.poll),
    Poller("mail_idle", TICK, listening.listen),
    Poller("erp", TICK, erp.poll),
    Poller("meetings", TICK, meetings.poll),
    *(Poller(f"send_{channel}", TICK, partial(sender.send, channel=channel)) for channel in sender.SOURCES),
    Poller("webhooks", TICK, webhooks.deliver),
    Poller("old_webhooks", timedelta(hours=1), webhooks.tidy),
    Poller("facts_of_old", timedelta(hours=1), waking.wake),
    Poller("old_runs", timedelta(hours=1), polling.forget_runs),
    Poller("abandoned_deliveries", timedelta(seconds=5), sender.give_up_leases),
    Poller("overdue_deliveries", timedelta(seconds=5), sender.look_again),
    Poller("posted_sources", timedelta(seconds=10), hearing.look),
    Webhook("/hooks/mail", hearing.watched(hearing.MAIL, webhook.receive)),
    *(Webhook(f"/hooks/{feed}", hearing.watched(feed, partial(feeds.receive, feed=feed))) for feed in feeds.FEEDS),
    Webhook(callbacks.WECOM, hearing.watched(hearing.WECOM, callbacks.from_wecom), methods=("GET", "POST")),
    Webhook(callbacks.DINGTALK, hearing.watched(hearing.DINGTALK, callbacks.from_dingtalk)),
    Webhook(links.OPEN, links.opened, methods=("GET",)),
    Webhook(links.CLICK, links.clicked, methods=("GET",)),
    Webhook(links.LEAVE, links.left, methods=("GET", "POST")),
)
