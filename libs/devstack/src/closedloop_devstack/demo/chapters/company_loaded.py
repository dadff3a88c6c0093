"""Step 1: the company is there: organisation, people, products, last year's sales, customers."""

from __future__ import annotations

from collections import Counter

from closedloop.common.v1.common_pb2 import BulkSummary
from closedloop.customers.v1 import accounts_pb2, accounts_pb2_grpc, contacts_pb2, contacts_pb2_grpc
from closedloop.options.v1.options_pb2 import Role
from closedloop.targets.v1 import actuals_pb2, actuals_pb2_grpc, org_pb2, org_pb2_grpc, products_pb2, products_pb2_grpc
from closedloop_chassis import ids
from closedloop_devstack.demo import company, rows
from closedloop_devstack.demo.narrator import Text
from closedloop_devstack.demo.stage import OPERATIONS
from closedloop_devstack.demo.tale import Chapter, Tale, yuan
from closedloop_devstack.demo.watch import START

EVERYBODY = 1000


def play(tale: Tale) -> None:
    tale.stage.move_to(START)
    _people(tale)
    _products(tale)
    _history(tale)
    _customers(tale)
    tale.stage.settle()
    tale.tell(
        "五个服务各自拿到了组织、产品和客户的副本。",
        "All five services hold their copies of organisation, products and customers.",
    )


def _people(tale: Tale) -> None:
    org = tale.stage.stub(org_pb2_grpc.OrgServiceStub, OPERATIONS)
    given = list(rows.org(tale.company))
    loaded = org.ImportOrg(
        org_pb2.ImportOrgRequest(request_id=ids.new_id(), rows=given, effective_date=rows.day(2024, 1, 1))
    )
    _whole(tale, "组织与人员", "organisation and people", loaded, len(given))
    tree = org.GetOrgTree(org_pb2.GetOrgTreeRequest())
    kinds = Counter(node.kind for node in tree.nodes)
    tale.facts(units=dict(kinds))
    tale.check(
        f"组织树读回：{kinds['region']} 个大区、{kinds['area']} 个片区、{kinds['team']} 个小组",
        f"the tree reads back: {kinds['region']} regions, {kinds['area']} areas, {kinds['team']} teams",
        kinds == Counter(unit.kind for unit in tale.company.units),
    )
    asked = org_pb2.ListPeopleRequest(role=Role.ROLE_REP, page_size=EVERYBODY)
    reps = org.ListPeople(asked).people
    tale.facts(reps=len(reps))
    tale.check(f"销售代表读回：{len(reps)} 名", f"sales reps read back: {len(reps)}", len(reps) == company.HEADS)


def _products(tale: Tale) -> None:
    catalogue = tale.stage.stub(products_pb2_grpc.ProductServiceStub, OPERATIONS)
    given = list(rows.products(tale.company))
    loaded = catalogue.ImportProducts(products_pb2.ImportProductsRequest(request_id=ids.new_id(), products=given))
    _whole(tale, "产品", "products", loaded, len(given))
    found = catalogue.ListProducts(products_pb2.ListProductsRequest(page_size=EVERYBODY)).products
    weights = {
        products_pb2.LifeCycleStage.Name(one.stage).removeprefix("LIFE_CYCLE_STAGE_").lower(): one.weight.value
        for one in found
    }
    tale.facts(products=len(found), stage_weights=weights)
    tale.rule(
        "targets",
        "targets.products",
        "产品生命周期权重：导入期 0.7、成长期 1.0、成熟期 0.9",
        "life-cycle weights: introduction 0.7, growth 1.0, mature 0.9",
    )
    tale.check(
        "每个产品带着生命周期权重 0.7 / 1.0 / 0.9",
        "every product carries its life-cycle weight 0.7 / 1.0 / 0.9",
        {stage: float(weight) for stage, weight in weights.items()}
        == {"introduction": 0.7, "growth": 1.0, "mature": 0.9},
    )


def _history(tale: Tale) -> None:
    ledger = tale.stage.stub(actuals_pb2_grpc.ActualServiceStub, OPERATIONS)
    given = list(rows.last_year(tale.company))
    loaded = ledger.ImportActuals(actuals_pb2.ImportActualsRequest(request_id=ids.new_id(), actuals=given))
    _whole(tale, "去年一季度业绩", "last year's first quarter", loaded, len(given))
    filter_ = actuals_pb2.ActualFilter(metrics=["won_value"], period="2025-Q1")
    [total] = ledger.SummarizeActuals(actuals_pb2.SummarizeActualsRequest(filter=filter_)).sums
    tale.facts(last_year=yuan(total.amount.money))
    tale.check(
        f"去年一季度合计 {yuan(total.amount.money)}",
        f"last year's quarter adds up to {yuan(total.amount.money)}",
        rows.fen(total.amount.money) == company.LAST_YEAR,
    )


def _customers(tale: Tale) -> None:
    accounts = tale.stage.stub(accounts_pb2_grpc.AccountServiceStub, OPERATIONS)
    # Owners are people of the organisation, which customers learns by events.
    tale.stage.settle()
    given = list(rows.accounts(tale.company))
    loaded = accounts.BulkUpsertAccounts(accounts_pb2.BulkUpsertAccountsRequest(request_id=ids.new_id(), rows=given))
    _whole(tale, "客户", "accounts", loaded, len(given))
    people = tale.stage.stub(contacts_pb2_grpc.ContactServiceStub, OPERATIONS)
    known = list(rows.contacts(tale.company))
    loaded = people.BulkUpsertContacts(contacts_pb2.BulkUpsertContactsRequest(request_id=ids.new_id(), rows=known))
    _whole(tale, "联系人", "contacts", loaded, len(known))
    found = accounts.ListAccounts(accounts_pb2.ListAccountsRequest(source=rows.SOURCE, page_size=EVERYBODY)).accounts
    tale.facts(accounts=len(found), contacts=len(known))
    owners = {one.profile.name: one.ownership.owner_id for one in found}
    tale.check(
        f"客户读回：{len(found)} 家，每家一名负责人",
        f"accounts read back: {len(found)}, each with its one owner",
        owners == {customer.name: customer.owner_id for customer in tale.company.customers},
    )


def _whole(tale: Tale, zh: str, en: str, loaded: BulkSummary, read: int) -> None:
    said = f"{loaded.read} = {loaded.created} + {loaded.updated} + {loaded.unchanged} + {loaded.rejected}"
    problems = "; ".join(f"{error.row}: {error.reason} {error.message}" for error in loaded.errors[:3])
    tale.check(
        f"{zh}导入（读入 = 新增 + 更新 + 未变 + 拒绝）：{said} {problems}",
        f"{en} (read = created + updated + unchanged + rejected): {said} {problems}",
        loaded.read == loaded.created == read,
    )


CHAPTER = Chapter(
    id="1",
    title=Text("公司就位：组织、人员、产品、客户", "The company: organisation, people, products, customers"),
    rows=("S82",),
    play=play,
    timeless=Text("没有时限：每次导入一次调用即完成", "no clock: each load is done within its call"),
)
