"""Pages of the ERP become transactions; customers and products that become known give old ones their meaning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from closedloop.customers.v1 import events_pb2 as customers
from closedloop.integrations.v1 import events_pb2 as events
from closedloop.targets.v1 import events_pb2 as targets
from closedloop_chassis.clocks.due import Rung
from closedloop_chassis.service import Reactions
from closedloop_chassis.work import Heard, Work
from closedloop_integrations import quarantine
from closedloop_integrations.erp import intake, retelling, store
from closedloop_integrations.erp.rules import ErpRules
from closedloop_integrations.erp.u8 import Document, Unapproved, Unreadable, read
from closedloop_integrations.procurement.matching import normalise

reactions = Reactions()

FACTS_OF_OLD = "integrations.facts_of_old"
COSTS_OF_OLD = "integrations.costs_of_old"
FIRST_ID = "00000000-0000-0000-0000-000000000000"


@reactions.on(events.ErpDocumentsFetched)
async def read_documents(event: Heard[events.ErpDocumentsFetched], work: Work) -> None:
    fetched = event.message
    broken = await read_page(work, fetched.source, fetched.list, fetched.documents)
    for position, (reason, message) in broken.items():
        where: dict[str, Any] = {"source": fetched.source, "kind": "erp_document", "key": fetched.list}
        raw = fetched.documents[position]
        quarantine.set_aside(work.tx, work.now, **where, reason=reason, message=message, raw=raw)


@reactions.on(customers.AccountChanged)
async def customer_known(event: Heard[customers.AccountChanged], work: Work) -> None:
    account = event.message
    if account.merged_into_id:
        return
    keys = {normalise(name) for name in (account.name, account.legal_name, *account.aliases)} - {""}
    codes: dict[str, list[str]] = {}
    for provenance in account.provenances:
        codes.setdefault(provenance.source, []).append(provenance.source_id)
    accounts = [code for known in codes.values() for code in known]
    waiting = await store.naming(work.tx, sources=codes, name_keys=keys, accounts=accounts)
    if waiting := [entry for entry in waiting if entry.account_id is None]:
        await intake.restate(work, waiting)


@reactions.on(targets.ProductChanged)
async def product_known(event: Heard[targets.ProductChanged], work: Work) -> None:
    product = event.message
    names = [product.product_id, product.name, *product.aliases]
    waiting = await store.naming(work.tx, sources=[work.rules(ErpRules).source], products=names)
    if waiting := [entry for entry in waiting if entry.unmapped]:
        await intake.restate(work, waiting)


@reactions.timer(FACTS_OF_OLD)
async def facts_of_old(rung: list[Rung], work: Work) -> None:
    """Set after an upgrade; goes on where it stopped until every version of every transaction has been looked at."""
    after = await intake.facts_of_old(work, str(rung[0].attributes.get("after", FIRST_ID)))
    if after:
        work.timers.set(FACTS_OF_OLD, "erp", work.now, {"after": after})


@reactions.timer(COSTS_OF_OLD)
async def costs_of_old(rung: list[Rung], work: Work) -> None:
    """Set after an upgrade; goes on where it stopped until every invoice in force has been looked at."""
    if reached := await retelling.costs_of_old(work, rung[0].attributes):
        work.timers.set(COSTS_OF_OLD, "erp", work.now, reached)


@quarantine.reader("erp_document")
async def read_again(work: Work, item: quarantine.Item) -> str:
    broken = await read_page(work, item.source, item.key, [item.raw])
    return f"{broken[0][0]}: {broken[0][1]}" if broken else ""


async def read_page(work: Work, source: str, list_name: str, texts: Sequence[str]) -> dict[int, tuple[str, str]]:
    """Takes in what can be read, and out what is approved no longer; answers reason and message of the others, by
    position."""
    rules = work.rules(ErpRules)
    good: list[tuple[int, Document]] = []
    back: list[tuple[int, Unapproved]] = []
    broken: dict[int, tuple[str, str]] = {}
    for position, text in enumerate(texts):
        try:
            document = read(text, list_name, source, rules)
        except Unreadable as error:
            broken[position] = ("DOCUMENT_UNREADABLE", str(error))
            continue
        if isinstance(document, Unapproved):
            back.append((position, document))
        else:
            good.append((position, document))
    outcome = await intake.take_in(work, good)
    refused = [*outcome.refused, *(await intake.withdraw(work, source, back) if back else ())]
    return broken | {error.row: (error.reason, error.message) for error in refused}
