"""A company in Tryton for the bench: `python tryton_company.py CONFIG DATABASE DEALS`, in .venv-bench, after trytond-admin.

Says what a client needs to know, as JSON.
"""

from __future__ import annotations

import datetime
import json
import sys

from trytond import config

config.update_etc(sys.argv[1])

from trytond.pool import Pool  # noqa: E402
from trytond.transaction import Transaction  # noqa: E402


def main(database: str, deals: int) -> None:
    Pool.start()
    pool = Pool(database)
    pool.init()
    with Transaction().start(database, 1, context={"active_test": False}) as transaction:
        Currency, Party, Company = (pool.get(name) for name in ("currency.currency", "party.party", "company.company"))
        Employee, User = pool.get("company.employee"), pool.get("res.user")
        [currency] = Currency.create(
            [
                {
                    "name": "Yuan",
                    "code": "CNY",
                    "symbol": "¥",
                    "rates": [("create", [{"date": datetime.date(2020, 1, 1), "rate": 1}])],
                }
            ]
        )
        us, person, *customers = Party.create([{"name": f"party {n}"} for n in range(18)])
        [company] = Company.create([{"party": us.id, "currency": currency.id}])
        [employee] = Employee.create([{"party": person.id, "company": company.id}])
        [user] = User.search([("login", "=", "admin")])
        User.write([user], {"companies": [("add", [company.id])], "company": company.id})
        User.write([user], {"employees": [("add", [employee.id])], "employee": employee.id})
        with transaction.set_context(company=company.id, employee=employee.id):
            Deal = pool.get("sale.opportunity")
            Deal.create(
                [
                    {
                        "party": customers[n % 16].id,
                        "company": company.id,
                        "currency": currency.id,
                        "employee": employee.id,
                        "description": f"deal {n}",
                        "amount": 480_000 + n,
                    }
                    for n in range(deals)
                ]
            )
        told = {
            "company": company.id,
            "currency": currency.id,
            "employee": employee.id,
            "customers": [one.id for one in customers],
        }
        transaction.commit()
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(sys.argv[2], int(sys.argv[3]))
