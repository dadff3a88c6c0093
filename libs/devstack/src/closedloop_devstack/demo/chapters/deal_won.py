"""Step 6: the contract is signed, the deal won, and the target board moves by exactly that amount."""

from __future__ import annotations

from closedloop.funnel.v1 import (
    contracts_pb2,
    contracts_pb2_grpc,
    opportunities_pb2,
    opportunities_pb2_grpc,
    pipelines_pb2,
)
from closedloop.platform.v1.platform_pb2 import CLOCK_STATE_MET
from closedloop.targets.v1 import actuals_pb2, actuals_pb2_grpc, boards_pb2, boards_pb2_grpc
from closedloop_chassis import ids
from closedloop_devstack.demo import company, rows
from closedloop_devstack.demo.chapters import signing
from closedloop_devstack.demo.chapters.evidence import PRODUCT
from closedloop_devstack.demo.chapters.target_closed import METRIC, PERIOD
from closedloop_devstack.demo.narrator import Text
from closedloop_devstack.demo.stage import OPERATIONS
from closedloop_devstack.demo.tale import Chapter, Tale, yuan
from closedloop_devstack.demo.watch import CHINA

STAGE_WEIGHTS = {"introduction": 0.7, "growth": 1.0, "mature": 0.9}


def play(tale: Tale) -> None:
    tale.stage.later(minutes=30)
    before = _progress(tale)
    _at_contract(tale)
    _signed(tale)
    _won(tale)
    _board_moves(tale, before)
    _stage_weighted(tale)
    _archived(tale)


def _progress(tale: Tale) -> boards_pb2.Progress:
    boards = tale.stage.stub(boards_pb2_grpc.BoardServiceStub, OPERATIONS)
    asked = boards_pb2.ListPersonProgressRequest(
        person_id=tale.threads.seller, period=PERIOD, metric=METRIC, view=boards_pb2.BOARD_VIEW_LIVE
    )
    [line] = boards.ListPersonProgress(asked).people
    return line.progress


def _deals(tale: Tale) -> opportunities_pb2_grpc.OpportunityServiceStub:
    return tale.stage.stub(opportunities_pb2_grpc.OpportunityServiceStub, tale.threads.seller)


def _deal(tale: Tale) -> opportunities_pb2.Opportunity:
    return _deals(tale).GetOpportunity(opportunities_pb2.GetOpportunityRequest(opportunity_id=tale.threads.deal_id))


def _evidence(
    key: str, kind: pipelines_pb2.EvidenceKind.ValueType, record_id: str = "", note: str = ""
) -> opportunities_pb2.StageEvidence:
    return opportunities_pb2.StageEvidence(requirement_key=key, kind=kind, record_id=record_id, note=note)


def _at_contract(tale: Tale) -> None:
    deal = _deal(tale)
    _deals(tale).AdvanceOpportunity(
        opportunities_pb2.AdvanceOpportunityRequest(
            request_id=ids.new_id(),
            opportunity_id=deal.id,
            etag=deal.etag,
            evidence=[_evidence("approved_quote", pipelines_pb2.EVIDENCE_KIND_QUOTE, tale.threads.quote_id)],
        )
    )
    tale.check(
        "凭已批准的报价进入合同阶段",
        "with the approved quote it enters the contract stage",
        _deal(tale).stage_key == "contract",
    )


def _contracts(tale: Tale) -> contracts_pb2_grpc.ContractServiceStub:
    return tale.stage.stub(contracts_pb2_grpc.ContractServiceStub, tale.threads.seller)


def _contract(tale: Tale) -> contracts_pb2.Contract:
    return _contracts(tale).GetContract(contracts_pb2.GetContractRequest(contract_id=tale.threads.contract_id))


def _signed(tale: Tale) -> None:
    contracts = _contracts(tale)
    drafted = contracts.CreateContract(
        contracts_pb2.CreateContractRequest(
            request_id=ids.new_id(),
            opportunity_id=tale.threads.deal_id,
            quote_id=tale.threads.quote_id,
            title="柔性产线 F1 采购合同",
            effective_date=rows.day(2026, 1, 6),
        )
    )
    tale.threads.contract_id = drafted.id
    contracts.SubmitContract(
        contracts_pb2.SubmitContractRequest(request_id=ids.new_id(), contract_id=drafted.id, etag=drafted.etag)
    )
    today = tale.stage.now.astimezone(CHINA).date()
    signing_day = rows.day(today.year, today.month, today.day)

    def sign(etag: str) -> contracts_pb2.Contract:
        return contracts.SignContract(
            contracts_pb2.SignContractRequest(
                request_id=ids.new_id(), contract_id=drafted.id, etag=etag, sign_date=signing_day, signer_name="陈立群"
            )
        )

    with tale.stage.refused("FAILED_PRECONDITION", "CONTRACT_NOT_APPROVED"):
        sign(_contract(tale).etag)
    tale.check(
        "未审批的合同签不了",
        "a contract without its decision cannot be signed",
        _contract(tale).state == contracts_pb2.CONTRACT_STATE_SUBMITTED,
    )
    request = signing.request_of(tale, drafted.id)
    for rule in request.rules:
        tale.ruled(rule)
    tale.facts(contract_signers=signing.approve(tale, request.id, "条款为标准文本，同意"))

    def approved() -> contracts_pb2.Contract | None:
        read = _contract(tale)
        return read if read.state == contracts_pb2.CONTRACT_STATE_APPROVED else None

    sign(tale.stage.until("the contract to learn of its approval", approved).etag)
    signed = _contract(tale)
    tale.threads.won_fen = rows.fen(signed.amount)
    tale.tell(
        f"合同 {signed.number} 签订，{yuan(signed.amount)}。",
        f"Contract {signed.number} is signed: {yuan(signed.amount)}.",
    )
    tale.check("合同已签", "the contract is signed", signed.state == contracts_pb2.CONTRACT_STATE_SIGNED)


def _won(tale: Tale) -> None:
    deal = _deal(tale)
    _deals(tale).CloseOpportunity(
        opportunities_pb2.CloseOpportunityRequest(
            request_id=ids.new_id(),
            opportunity_id=deal.id,
            etag=deal.etag,
            outcome=opportunities_pb2.OPPORTUNITY_STATE_WON,
            reason_code="best_fit",
            evidence=[_evidence("signed_contract", pipelines_pb2.EVIDENCE_KIND_CONTRACT, tale.threads.contract_id)],
        )
    )
    won = _deal(tale)
    tale.facts(won=yuan(won.amount))
    tale.check(
        f"赢单，金额 {yuan(won.amount)}，与合同一致",
        f"won for {yuan(won.amount)}, as the contract says",
        won.state == opportunities_pb2.OPPORTUNITY_STATE_WON and rows.fen(won.amount) == tale.threads.won_fen,
    )


def _board_moves(tale: Tale, before: boards_pb2.Progress) -> None:
    def moved() -> boards_pb2.Progress | None:
        now = _progress(tale)
        return now if rows.fen(now.done.money) != rows.fen(before.done.money) else None

    after = tale.stage.until("the board to move", moved)
    tale.figures(
        f"{tale.name(tale.threads.seller)} 的进度", "the seller's done / target",
        f"{yuan(before.done.money)} / {yuan(before.target.money)}（{before.completion_ratio:.1%}）",
        f"{yuan(after.done.money)} / {yuan(after.target.money)}（{after.completion_ratio:.1%}）",
    )  # fmt: skip
    step = rows.fen(after.done.money) - rows.fen(before.done.money)
    tale.facts(board_step=yuan(step))
    tale.check(f"看板正好前进 {yuan(step)}", f"the board moved by exactly {yuan(step)}", step == tale.threads.won_fen)
    boards = tale.stage.stub(boards_pb2_grpc.BoardServiceStub, OPERATIONS)
    team = tale.company.person[tale.threads.seller].unit_id
    asked = boards_pb2.ListTeamRankingRequest(
        kind="team", period=PERIOD, metric=METRIC, view=boards_pb2.BOARD_VIEW_LIVE, page_size=50
    )
    ranks = boards.ListTeamRanking(asked).ranks
    mine = next(rank for rank in ranks if rank.unit_id == team)
    tale.facts(team_rank=mine.rank, teams=len(ranks))
    tale.check(
        f"{mine.name} 升到 {len(ranks)} 个小组的第 {mine.rank} 名",
        f"{mine.name} now ranks {mine.rank} of {len(ranks)} teams",
        mine.rank == 1 and rows.fen(mine.progress.done.money) == tale.threads.won_fen,
    )


def _stage_weighted(tale: Tale) -> None:
    """A deal in a product of the introduction stage counts with its weight (S16)."""
    ledger = tale.stage.stub(actuals_pb2_grpc.ActualServiceStub, OPERATIONS)
    filter_ = actuals_pb2.ActualFilter(metrics=[METRIC], period=PERIOD, unit_id=company.ROOT)
    [total] = ledger.SummarizeActuals(actuals_pb2.SummarizeActualsRequest(filter=filter_)).sums
    weight = STAGE_WEIGHTS[tale.company.product[PRODUCT].stage]
    tale.facts(stage_weighted=yuan(total.stage_weighted_amount.money))
    tale.rule("targets", "targets.products", "导入期产品按 0.7 计权", "products in introduction weigh 0.7")
    tale.check(
        f"按产品阶段计权：{yuan(total.stage_weighted_amount.money)}",
        f"weighted by life-cycle stage: {yuan(total.stage_weighted_amount.money)}",
        rows.fen(total.stage_weighted_amount.money) == round(tale.threads.won_fen * weight),
    )


def _archived(tale: Tale) -> None:
    contract = _contract(tale)
    _contracts(tale).ArchiveContract(
        contracts_pb2.ArchiveContractRequest(
            request_id=ids.new_id(), contract_id=contract.id, etag=contract.etag, location="总部档案室 A-17"
        )
    )
    deal = _deal(tale)
    _deals(tale).AdvanceOpportunity(
        opportunities_pb2.AdvanceOpportunityRequest(
            request_id=ids.new_id(),
            opportunity_id=deal.id,
            etag=deal.etag,
            evidence=[
                _evidence("archived_papers", pipelines_pb2.EVIDENCE_KIND_DOCUMENT, note="合同原件，总部档案室 A-17")
            ],
        )
    )
    dwelt = tale.stage.clocks("funnel", "funnel.stage_dwell", deal.id)
    for clock in dwelt:
        tale.clock(clock)
    tale.check(
        f"{len(dwelt)} 个阶段的停留时钟全部按时",
        f"the dwell clocks of its {len(dwelt)} stages are all met",
        len(dwelt) > 0 and all(clock.state == CLOCK_STATE_MET for clock in dwelt),
    )
    tale.check(
        "合同归档，链条走完最后一步",
        "the contract is filed: the last step of the chain",
        _contract(tale).state == contracts_pb2.CONTRACT_STATE_ARCHIVED and _deal(tale).stage_key == "archive",
    )


CHAPTER = Chapter(
    id="6",
    title=Text("赢单：合同签订，目标看板前进", "Won: the contract is signed and the board moves"),
    rows=("S9", "S10", "S40"),
    play=play,
    needs=("2", "5"),
)
