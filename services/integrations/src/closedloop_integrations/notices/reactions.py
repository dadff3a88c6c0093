"""Pages from the site become notices; customers that come later are looked for in older ones."""

from __future__ import annotations

from typing import Any

from closedloop.customers.v1 import events_pb2 as customers
from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis.ids import new_id
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_integrations import quarantine
from closedloop_integrations.notices import intake
from closedloop_integrations.notices.rules import ProcurementRules, complete, said_by_page, sector_matcher
from closedloop_integrations.procurement.site import Quarantined, parse_detail

reactions = Reactions()


@reactions.on(events.NoticeFetched)
async def read_notice(event: Heard[events.NoticeFetched], work: Work) -> None:
    page = event.message
    reason = await read_page(work, quarantine.Item(page.source, page.url, page.html))
    if reason:
        where: dict[str, Any] = {"source": page.source, "kind": "notice_page", "key": page.url}
        quarantine.set_aside(work.tx, work.now, **where, reason=reason, raw=page.html)


@reactions.on(customers.AccountChanged)
async def match_late(event: Heard[customers.AccountChanged], work: Work) -> None:
    await intake.match_late(work, event.message.account_id)


@quarantine.reader("notice_page")
async def read_page(work: Work, item: quarantine.Item) -> str:
    rules = work.rules(ProcurementRules)
    page = parse_detail(item.raw, item.key, rules.pages)
    if isinstance(page, Quarantined):
        return page.reason
    said = said_by_page(page, item.source, rules, work.now)
    await intake.take_in(work, [complete(said, rules, sector_matcher(rules), id=new_id(), now=work.now)])
    return ""
