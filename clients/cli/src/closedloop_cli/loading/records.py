"""Rows of the layout as records of the contract: products, accounts, opportunities. The organisation: see people.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1 import accounts_pb2
from closedloop.funnel.v1 import opportunities_pb2
from closedloop.targets.v1 import products_pb2
from closedloop_chassis import protos
from closedloop_cli import shapes
from closedloop_cli.loading.codes import Codes, code
from closedloop_cli.loading.ledger import Ledger, Rejection, RowRefused
from closedloop_cli.loading.loader import Item
from closedloop_cli.loading.rows import Row

_STATES = {
    "open": opportunities_pb2.OPPORTUNITY_STATE_OPEN,
    "won": opportunities_pb2.OPPORTUNITY_STATE_WON,
    "lost": opportunities_pb2.OPPORTUNITY_STATE_LOST,
}


def readable(kind: str, rows: Iterator[Row], ledger: Ledger, make: Callable[[Row], Item]) -> Iterator[Item]:
    """The rows that can be read; the others are counted and told."""
    for row in rows:
        try:
            row.check()
            item = make(row)
        except RowRefused as refused:
            ledger.tally(kind).read += 1
            ledger.reject(kind, Rejection(row.file, row.line, refused.column, refused.reason, refused.message))
        except ValueError as error:
            # A number that the contract's field cannot hold.
            ledger.tally(kind).read += 1
            ledger.reject(kind, Rejection(row.file, row.line, "", "NUMBER_TOO_LARGE", str(error)))
        else:
            yield item


class Products:
    """Aliases go along, so that other feeds may use them too."""

    def __init__(self, currency: str) -> None:
        self._currency = currency
        self._codes = Codes()

    def __call__(self, row: Row) -> Item:
        name = row.needed("product")
        price, series = row.number("price"), row.text("series")
        product = products_pb2.ProductInput(
            id=_code(self._codes, name, row.columns["product"]),
            name=name,
            line=code(series) if series else "",
            series=series,
            aliases=row.mapping.spellings("product", name),
            list_price=shapes.to_money(price, self._currency) if price is not None else None,
            provenance=Provenance(source=row.mapping.source, source_id=name),
        )
        columns = {"name": "product", "list_price": "price", "series": "series", "line": "series"}
        return _item(product, row, columns)


class Accounts:
    """Identified by their name, as the files identify them."""

    def __init__(self, currency: str) -> None:
        self._currency = currency

    def __call__(self, row: Row) -> Item:
        mapping, name = row.mapping, row.needed("account")
        revenue, country, parent = row.number("revenue"), row.text("country"), row.text("parent", "account")
        profile = accounts_pb2.AccountProfile(
            name=name,
            industry=row.text("sector"),
            region_code=mapping.countries.get(country, ""),
            address=country,
            employee_count=row.whole_number("employees"),
            founding_year=row.whole_number("founded"),
            annual_revenue=shapes.to_money(revenue * mapping.revenue_unit, self._currency)
            if revenue is not None
            else None,
        )
        account = accounts_pb2.AccountRow(
            provenance=Provenance(source=mapping.source, source_id=name), profile=profile, parent_source_id=parent
        )
        columns = {
            "profile.industry": "sector",
            "profile.region_code": "country",
            "profile.annual_revenue": "revenue",
            "profile.employee_count": "employees",
            "profile.founding_year": "founded",
            "profile.name": "account",
            "parent_source_id": "parent",
        }
        leans_on = {"PARENT_UNKNOWN": f"account:{parent}"} if parent else {}
        return _item(account, row, columns, leans_on)


class Opportunities:
    """People and products by code, accounts by name; a deal without an account stays without one."""

    def __init__(self, currency: str) -> None:
        self._currency = currency

    def __call__(self, row: Row) -> Item:
        mapping = row.mapping
        stage_name = row.needed("stage")
        stage = mapping.stages.get(stage_name)
        if stage is None:
            known = ", ".join(mapping.stages)
            raise RowRefused(row.columns["stage"], "STAGE_UNKNOWN", f"{stage_name!r} is no stage; there are {known}")
        owner, product, account = code(row.needed("agent")), row.text("product"), row.text("account")
        value = row.number("value")
        deal = opportunities_pb2.OpportunityRow(
            provenance=Provenance(source=mapping.source, source_id=row.needed("id")),
            owner=owner,
            account=account,
            product=code(product) if product else "",
            pipeline_id=mapping.pipeline,
            stage=stage.stage,
            state=_STATES[stage.state],
            name=" · ".join(filter(None, (account, product))),
            engage_date=protos.date_proto(row.day("engaged")),
            close_date=protos.date_proto(row.day("closed")),
            value=shapes.to_money(value, self._currency) if value is not None else None,
        )
        columns = {
            "provenance.source_id": "id",
            "owner": "agent",
            "account": "account",
            "product": "product",
            "stage": "stage",
            "state": "stage",
            "engage_date": "engaged",
            "close_date": "closed",
            "value": "value",
        }
        leans_on = {
            "OWNER_UNKNOWN": f"person:{owner}",
            "ACCOUNT_UNKNOWN": f"account:{account}",
            "PRODUCT_UNKNOWN": f"product:{deal.product}",
        }
        return _item(deal, row, columns, leans_on)


def _item(message: object, row: Row, columns: dict[str, str], leans_on: dict[str, str] | None = None) -> Item:
    named = {path: row.columns[word] for path, word in columns.items() if word in row.columns}
    return Item(message, row.file, row.line, named, leans_on or {})


def _code(codes: Codes, name: str, column: str) -> str:
    made = codes.of(name)
    if made is None:
        raise RowRefused(column, "CODE_TAKEN", f"another name has the code {code(name)} already; rename {name!r}")
    return made
