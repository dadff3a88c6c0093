"""Step 8: the ERP books an invoice of the won deal; it is seen where it belongs."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from closedloop.integrations.v1 import erp_pb2, erp_pb2_grpc
from closedloop.targets.v1 import actuals_pb2, actuals_pb2_grpc
from closedloop_chassis import ids
from closedloop_devstack.demo import rows
from closedloop_devstack.demo.chapters.evidence import PRODUCT
from closedloop_devstack.demo.chapters.target_closed import PERIOD
from closedloop_devstack.demo.narrator import Text
from closedloop_devstack.demo.stage import OPERATIONS
from closedloop_devstack.demo.tale import Chapter, Tale, yuan
from closedloop_devstack.demo.watch import START
from closedloop_devstack.simulators.erp_records import SaleDocument, SaleLine

ERP = "erp"
CUSTOMER_CODE, PERSON_CODE = "0001087", "YW031"


def play(tale: Tale) -> None:
    tale.stage.move_to(START + timedelta(days=2, hours=5))
    erp = tale.stage.stub(erp_pb2_grpc.ErpServiceStub, OPERATIONS)
    _codes(tale, erp)
    line = SaleLine(
        cinvcode=PRODUCT,
        cinvname=tale.company.product[PRODUCT].name,
        iquantity=Decimal(4),
        itaxunitprice=Decimal(120_000),
    )
    booked = tale.stage.outside.erp.put(
        "saleinvoice",
        SaleDocument(
            ccuscode=CUSTOMER_CODE, ccusname=tale.threads.account_name, cpersoncode=PERSON_CODE, entry=(line,)
        ),
    )
    net = round(sum(Decimal(entry["imoney"]) for entry in booked["entry"]) * 100)
    tale.tell(
        f"财务在 U8 开出发票 {booked['ccode']}：含税 {booked['isum']} 元，不含税 {yuan(net)}。",
        f"Finance books invoice {booked['ccode']} in the ERP: {booked['isum']} with tax, {yuan(net)} without.",
    )
    tale.stage.later(minutes=1)
    asked = erp_pb2.ListTransactionsRequest(kinds=[erp_pb2.TRANSACTION_KIND_INVOICE], number=booked["ccode"])
    [found] = tale.stage.until("the invoice to be read", lambda: erp.ListTransactions(asked).transactions)
    tale.facts(invoice=found.number, net=yuan(found.amount), version=found.version)
    tale.check(
        "发票读入，原始编码保留，客户与业务员已对上",
        "the invoice is taken in, its codes kept, customer and seller recognised",
        found.account_code == CUSTOMER_CODE
        and found.account_id == tale.threads.account_id
        and found.person_id == tale.threads.seller
        and rows.fen(found.amount) == net,
    )
    ledger = tale.stage.stub(actuals_pb2_grpc.ActualServiceStub, OPERATIONS)
    filter_ = actuals_pb2.ActualFilter(metrics=["invoiced_value"], period=PERIOD, person_id=tale.threads.seller)
    [actual] = tale.stage.until(
        "the invoice in the ledger of actuals",
        lambda: ledger.ListActuals(actuals_pb2.ListActualsRequest(filter=filter_)).actuals,
    )
    tale.figures("已开票（财务口径）", "invoiced value of the seller", yuan(0), yuan(actual.amount.money))
    tale.rule(
        "targets",
        "targets.metrics",
        "开票净额是财务口径指标，来源 ERP",
        "net invoiced value is of the finance track, fed by the ERP",
    )
    tale.check(
        "目标账本里多了一笔，来源是 ERP，金额一分不差",
        "the ledger of actuals has one row more, from the ERP, exact to the fen",
        rows.fen(actual.amount.money) == net and actual.account_id == tale.threads.account_id,
    )
    tale.close(
        Text("数据失真：财务一套数、销售一套数", "Distorted data: finance has one set of figures, sales another"),
        Text(
            "赢单即入账，ERP 发票原样入库，都记到同一客户、同一业务员",
            "A won deal moves the board at once; the ERP's invoice counts for the same customer and seller",
        ),
    )


def _codes(tale: Tale, erp: erp_pb2_grpc.ErpServiceStub) -> None:
    """Operations says once what the ERP's codes mean."""
    meant = (
        (erp_pb2.CODE_TYPE_ACCOUNT, CUSTOMER_CODE, tale.threads.account_name, tale.threads.account_id),
        (erp_pb2.CODE_TYPE_PERSON, PERSON_CODE, tale.name(tale.threads.seller), tale.threads.seller),
        (erp_pb2.CODE_TYPE_PRODUCT, PRODUCT, tale.company.product[PRODUCT].name, PRODUCT),
    )
    given = [
        erp_pb2.CodeMapping(source=ERP, type=kind, code=code, name=name, target_id=ours)
        for kind, code, name, ours in meant
    ]
    summary = erp.SetCodeMappings(erp_pb2.SetCodeMappingsRequest(request_id=ids.new_id(), rows=given))
    tale.check("ERP 编码对照已设", "the ERP's codes are mapped", summary.rejected == 0)


CHAPTER = Chapter(
    id="8",
    title=Text("ERP 发票：落到该落的地方", "An ERP invoice lands where it belongs"),
    rows=("S71",),
    play=play,
    needs=("6",),
    timeless=Text("没有时限：下一次轮询即入账", "no clock: the next poll books it"),
)
