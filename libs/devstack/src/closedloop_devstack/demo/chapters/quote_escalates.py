"""Step 5: a quote with 25 % discount; nobody acts; after 8 working hours it escalates by itself and is decided."""

from __future__ import annotations

from datetime import timedelta

from closedloop.approvals.v1 import requests_pb2, requests_pb2_grpc
from closedloop.funnel.v1 import quotes_pb2, quotes_pb2_grpc
from closedloop.integrations.v1 import deliveries_pb2, deliveries_pb2_grpc
from closedloop_chassis import ids
from closedloop_devstack.demo import rows
from closedloop_devstack.demo.chapters import signing
from closedloop_devstack.demo.chapters.evidence import PRODUCT, QUANTITY
from closedloop_devstack.demo.narrator import Text
from closedloop_devstack.demo.stage import OPERATIONS
from closedloop_devstack.demo.tale import Chapter, Tale, moment, yuan
from closedloop_devstack.demo.watch import START, local

DISCOUNT = 0.25
DECISION = "approvals.decision"


def play(tale: Tale) -> None:
    tale.stage.move_to(START + timedelta(hours=6))
    quote = _submitted(tale)
    request = signing.request_of(tale, quote.id)
    _waits(tale, quote, request)
    _nobody_acts(tale, request)
    _decided(tale, quote, request)
    tale.close(
        Text("报价审批停在某人桌上三天", "A quote lies on somebody's desk for days"),
        Text(
            "8 工作小时到点自动升级；未批准发不出去；留痕可验真",
            "After 8 working hours it escalates by itself; nothing leaves unapproved; the trail verifies",
        ),
    )


def _quotes(tale: Tale) -> quotes_pb2_grpc.QuoteServiceStub:
    return tale.stage.stub(quotes_pb2_grpc.QuoteServiceStub, tale.threads.seller)


def _read(tale: Tale) -> quotes_pb2.Quote:
    return _quotes(tale).GetQuote(quotes_pb2.GetQuoteRequest(quote_id=tale.threads.quote_id))


def _submitted(tale: Tale) -> quotes_pb2.Quote:
    line = quotes_pb2.QuoteLine(
        product_id=PRODUCT,
        quantity=QUANTITY,
        list_price=rows.cny(tale.company.product[PRODUCT].list_price),
        discount_ratio=DISCOUNT,
    )
    drafted = _quotes(tale).CreateQuote(
        quotes_pb2.CreateQuoteRequest(
            request_id=ids.new_id(),
            opportunity_id=tale.threads.deal_id,
            lines=[line],
            valid_until_date=rows.day(2026, 3, 31),
            justification="客户承诺作为华东样板工厂，二期另购十二套",
        )
    )
    tale.threads.quote_id = drafted.id
    _quotes(tale).SubmitQuote(
        quotes_pb2.SubmitQuoteRequest(request_id=ids.new_id(), quote_id=drafted.id, etag=drafted.etag)
    )
    quote = _read(tale)
    seller, listed, off = tale.name(tale.threads.seller), yuan(quote.list_total), f"{quote.discount_ratio:.0%}"
    tale.tell(
        f"{seller} 提交报价：目录价 {listed}，要求折扣 {off}。",
        f"{seller} submits a quote: list {listed}, discount {off}.",
    )
    tale.figures("报价", "quote", yuan(quote.list_total), yuan(quote.total))
    tale.check(
        "折扣算到分", "the discount is exact to the fen", rows.fen(quote.total) * 100 == rows.fen(quote.list_total) * 75
    )
    return quote


def _waits(tale: Tale, quote: quotes_pb2.Quote, request: requests_pb2.Request) -> None:
    for rule in request.rules:
        tale.ruled(rule)
    route = [[signer.person_id for signer in step.signers] for step in request.steps]
    shown = " → ".join("/".join(tale.name(person) for person in people) for people in route)
    tale.facts(route=route, amount=yuan(quote.total))
    tale.tell(f"审批路线：{shown}。", f"The route: {shown}.")
    tale.check("大折扣要主管、再要总监", "a large discount needs the manager, then the director", len(route) == 2)
    for clock in tale.stage.clocks("approvals", DECISION, request.id):
        tale.clock(clock)
    with tale.stage.refused("FAILED_PRECONDITION", "QUOTE_NOT_APPROVED") as refusal:
        _quotes(tale).IssueQuote(
            quotes_pb2.IssueQuoteRequest(request_id=ids.new_id(), quote_id=quote.id, etag=quote.etag)
        )
    tale.facts(issue_refused=refusal.reason)
    tale.check(
        "未经批准想发给客户：被拒绝",
        "sending it without a decision is refused",
        _read(tale).state == quotes_pb2.QUOTE_STATE_SUBMITTED,
    )


def _nobody_acts(tale: Tale, request: requests_pb2.Request) -> None:
    waiting = signing.asked_now(request)[0].person_id
    opened, due = moment(request.open_time), moment(request.due_time)
    tale.tell(
        f"{tale.name(waiting)} 出差，没有人处理；{local(due, 'zh')} 满 8 个工作小时。",
        f"{tale.name(waiting)} is travelling and nobody acts; 8 working hours end {local(due)}.",
    )
    _reminded(tale, request)
    tale.stage.move_to(due + timedelta(minutes=1))

    def escalated() -> requests_pb2.Request | None:
        read = signing.read(tale, request.id)
        return read if read.escalation_level else None

    later = tale.stage.until("the escalation", escalated)
    asked = [signer.person_id for signer in signing.asked_now(later)]
    for clock in tale.stage.clocks("approvals", DECISION, request.id):
        tale.clock(clock)
    tale.facts(
        escalated={
            "level": later.escalation_level,
            "asked": asked,
            "plain_hours": round((due - opened).total_seconds() / 3600, 1),
        }
    )
    tale.figures("等谁签字", "who is asked", tale.name(waiting), "、".join(tale.name(person) for person in asked))
    above = {manager.id for manager in tale.company.line(waiting)}
    tale.check(
        "没有人动手，系统自己升级到上一级，并未默认批准",
        "nobody lifted a finger: it escalated to the next level by itself, and was not approved by silence",
        bool(above & set(asked)) and later.state == requests_pb2.REQUEST_STATE_PENDING,
    )
    _told(tale, request.id, next(person for person in asked if person in above))


def _reminded(tale: Tale, request: requests_pb2.Request) -> None:
    [clock] = tale.stage.clocks("approvals", DECISION, request.id)
    tale.stage.move_to(moment(clock.warn_time) + timedelta(minutes=1))

    def reminded() -> bool:
        return any(entry.action == requests_pb2.TRAIL_ACTION_REMINDED for entry in signing.trail(tale, request.id))

    tale.stage.until("the reminder", reminded)
    tale.check("过半时提醒一次，记入留痕", "half way it reminds, and the trail says so", reminded())


def _told(tale: Tale, request_id: str, to: str) -> None:
    deliveries = tale.stage.stub(deliveries_pb2_grpc.DeliveryServiceStub, OPERATIONS)
    asked = deliveries_pb2.ListDeliveriesRequest(subject_id=request_id, person_id=to)
    found = tale.stage.until("the message of the escalation", lambda: deliveries.ListDeliveries(asked).deliveries)
    templates = sorted({one.content.template.template for one in found})
    tale.facts(messages=templates)
    tale.check(
        f"{tale.name(to)} 收到升级通知", f"{tale.name(to)} is told of the escalation", "approval_escalated" in templates
    )


def _decided(tale: Tale, quote: quotes_pb2.Quote, request: requests_pb2.Request) -> None:
    tale.stage.later(minutes=20)
    signed = signing.approve(tale, request.id, "样板工厂，同意；预付 30%")
    after = signing.read(tale, request.id)
    tale.facts(signed=signed, elapsed_hours=round(after.elapsed.ToTimedelta().total_seconds() / 3600, 2))
    tale.check(
        "两步都已签字，最终批准",
        "both steps are signed and it is approved",
        after.state == requests_pb2.REQUEST_STATE_APPROVED,
    )

    def approved() -> quotes_pb2.Quote | None:
        read = _read(tale)
        return read if read.state == quotes_pb2.QUOTE_STATE_APPROVED else None

    ready = tale.stage.until("the quote to learn of its approval", approved)
    requests = tale.stage.stub(requests_pb2_grpc.RequestServiceStub, OPERATIONS)
    trail = signing.trail(tale, request.id)
    verified = requests.VerifyTrail(requests_pb2.VerifyTrailRequest(ids=[request.id]))
    actions = [requests_pb2.TrailAction.Name(entry.action).removeprefix("TRAIL_ACTION_").lower() for entry in trail]
    tale.facts(trail=actions)
    tale.tell(f"留痕：{' → '.join(actions)}", f"The trail: {' → '.join(actions)}")
    tale.check(
        f"{verified.entries_checked} 条留痕首尾相扣，无一被改动",
        f"{verified.entries_checked} trail entries, chained by hash, none touched",
        verified.entries_checked == len(trail) > 0 and not verified.breaks and "escalated" in actions,
    )
    _quotes(tale).IssueQuote(quotes_pb2.IssueQuoteRequest(request_id=ids.new_id(), quote_id=quote.id, etag=ready.etag))
    issued = _read(tale)
    _quotes(tale).RecordQuoteAnswer(
        quotes_pb2.RecordQuoteAnswerRequest(
            request_id=ids.new_id(), quote_id=quote.id, etag=issued.etag, accepted=True, comment="客户当场接受"
        )
    )
    tale.check(
        "批准之后才发出，客户接受",
        "only now it goes out, and the customer accepts",
        _read(tale).state == quotes_pb2.QUOTE_STATE_ACCEPTED,
    )


CHAPTER = Chapter(
    id="5",
    title=Text("报价：25% 折扣，八小时自动升级", "The quote: 25 % off, escalated after eight hours"),
    rows=("S63", "S65", "S66"),
    play=play,
    needs=("4",),
)
