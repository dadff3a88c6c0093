"""Step 7: a procurement notice appears; the customer is found in it and judged anew."""

from __future__ import annotations

from datetime import timedelta

from closedloop.customers.v1 import accounts_pb2, accounts_pb2_grpc, potential_pb2, potential_pb2_grpc
from closedloop.integrations.v1 import notices_pb2, notices_pb2_grpc
from closedloop_chassis import ids
from closedloop_devstack.demo import rows
from closedloop_devstack.demo.narrator import Text
from closedloop_devstack.demo.stage import OPERATIONS
from closedloop_devstack.demo.tale import Chapter, Tale, moment
from closedloop_devstack.demo.watch import START
from closedloop_devstack.simulators.procurement import Notice


def play(tale: Tale) -> None:
    tale.stage.move_to(START + timedelta(days=2, hours=1))
    customer = next(known for known in tale.company.customers if known.industry == "education")
    accounts = tale.stage.stub(accounts_pb2_grpc.AccountServiceStub, OPERATIONS)
    account = accounts.GetAccount(accounts_pb2.GetAccountRequest(provenance=rows.came_from(customer.code)))
    potentials = tale.stage.stub(potential_pb2_grpc.PotentialServiceStub, OPERATIONS)
    potentials.EvaluatePotentials(
        potential_pb2.EvaluatePotentialsRequest(request_id=ids.new_id(), account_ids=[account.id])
    )
    before = potentials.GetPotential(potential_pb2.GetPotentialRequest(account_id=account.id))
    tale.ruled(before.rule)
    notice = tale.stage.outside.site.publish(
        Notice(
            title=f"{customer.name}智慧实训平台采购项目公开招标公告",
            buyer=customer.name,
            published=tale.stage.now,
            amount="286.50万元",
            agency="诚信招标有限公司",
            region=tale.company.unit[tale.company.person[customer.owner_id].unit_id].name[:2],
            body=f"{customer.name}拟建设智慧实训平台与智慧黑板，预算 286.50 万元，欢迎合格供应商参加。",
        )
    )
    tale.tell(f"政府采购网发布公告：{notice.title}", f"The procurement site publishes: {notice.title}")
    tale.rule(
        "integrations",
        "integrations.procurement",
        "轮询公告，按采购人和关键词匹配客户",
        "notices are polled and matched by buyer and keyword",
    )
    tale.stage.later(minutes=2)
    notices = tale.stage.stub(notices_pb2_grpc.NoticeServiceStub, OPERATIONS)
    asked = notices_pb2.ListMatchesRequest(account_id=account.id)
    [match] = tale.stage.until("the customer to be found in the notice", lambda: notices.ListMatches(asked).matches)
    tale.facts(notice=match.notice.title, confidence=round(match.confidence, 2), sectors=list(match.sectors))
    tale.ruled(match.rule)
    sure = f"{match.confidence:.0%}, {', '.join(match.sectors)}"
    tale.check(
        f"公告被读入，找到客户 {customer.name}（把握与行业：{sure}）",
        f"it is read and names our customer {customer.name} ({sure})",
        match.notice.provenance.source_id == notice.id and "education" in match.sectors,
    )

    def judged_anew() -> potential_pb2.Potential | None:
        now = potentials.GetPotential(potential_pb2.GetPotentialRequest(account_id=account.id))
        named = any(tender.notice_id == match.notice_id for tender in now.tender_matches)
        return now if named and moment(now.evaluate_time) > moment(before.evaluate_time) else None

    after = tale.stage.until("the customer to be judged anew", judged_anew)
    tale.figures("客户潜力分", "potential score", _verdict(before), _verdict(after))
    tale.ruled(after.rule)
    tender = next((part for part in after.dimensions if "tender" in part.key), None)
    tale.facts(
        score={
            "before": round(before.score, 1),
            "after": round(after.score, 1),
            "high": after.high,
        },
        cause=after.cause,
    )
    tale.check(
        "重评由这份公告引起，分数上升并写明招标一项的贡献",
        "the notice caused a re-evaluation; the score rose, and the tender's part is shown",
        after.score > before.score and tender is not None and tender.contribution > 0,
    )
    read = accounts.GetAccount(accounts_pb2.GetAccountRequest(id=account.id))
    tale.check(
        "客户由普通变为高潜，主页上看得到",
        "the account is now of high potential",
        read.high_potential and after.high and not before.high,
    )


def _verdict(potential: potential_pb2.Potential) -> str:
    return f"{potential.score:.1f}（{'高潜 high' if potential.high else '普通 ordinary'}）"


CHAPTER = Chapter(
    id="7",
    title=Text("招标公告：找到客户，重评潜力", "A tender: the customer found and judged anew"),
    rows=("S39", "S70"),
    play=play,
    needs=("1",),
    timeless=Text(
        "没有时限：公告读入后由事件立即重评", "no clock: the event re-evaluates as soon as the notice is read"
    ),
)
