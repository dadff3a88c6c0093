"""ListRevisits: last month's contacts without feedback are next month's visits (S60)."""

from __future__ import annotations

from datetime import date
from typing import Any

from closedloop.common.v1 import common_pb2
from closedloop.funnel.v1 import surveys_pb2 as pb
from closedloop_chassis import errors, pages, protos
from closedloop_chassis.service import Rpcs
from closedloop_chassis.work import Call, Scope
from closedloop_funnel.revisits.rules import RevisitRules, month_before

rpcs = Rpcs("closedloop.funnel.v1.SurveyService")

# A customer none of whose contacts of the month brought feedback; done when one since has.
LISTED = f"""
SELECT v.account_id, v.owner_id, max(v.unit_id) AS unit_id, max(a.name) AS account_name,
       array_agg(v.id ORDER BY v.at, v.id) AS activity_ids,
       EXISTS (SELECT FROM activity n WHERE n.account_id = v.account_id AND n.at >= %(to)s AND n.state = 'done'
                  AND n.authenticity <> 'confirmed_false' AND n.customer_feedback <> '')
       OR EXISTS (SELECT FROM proposal p WHERE p.account_id = v.account_id AND p.feedback_at >= %(to)s) AS done
  FROM activity v LEFT JOIN account a ON a.id = v.account_id
 WHERE {Scope.SQL} AND (%(owner)s = '' OR v.owner_id = %(owner)s)
   AND (%(units)s::text[] IS NULL OR v.unit_id = ANY(%(units)s))
   AND v.account_id IS NOT NULL AND v.state = 'done' AND v.kind = ANY(%(kinds)s)
   AND v.authenticity <> 'confirmed_false' AND v.at >= %(from)s AND v.at < %(to)s
   AND (v.account_id, v.owner_id) > (%(after)s::uuid, %(after_owner)s::text)
 GROUP BY v.account_id, v.owner_id
HAVING count(*) FILTER (WHERE v.customer_feedback <> '') = 0 AND count(*) >= %(least)s
"""
PAGE = f"""
SELECT * FROM ({LISTED}) listed WHERE NOT %(open_only)s OR NOT done ORDER BY account_id, owner_id LIMIT %(limit)s
"""


@rpcs.method
async def list_revisits(request: pb.ListRevisitsRequest, call: Call) -> pb.ListRevisitsResponse:
    day = protos.day(request.month, "month") if request.HasField("month") else call.home.today()
    if day == date.min or day.replace(day=1) == date.min:
        raise errors.InvalidArgument("PERIOD_OUT_OF_RANGE", "there is no month before", {"month": "out of range"})
    rules, (begins, ends) = call.rules(RevisitRules), month_before(day)
    after, after_owner = pages.after(request, "00000000-0000-0000-0000-000000000000", "")
    params: dict[str, Any] = {
        **call.scope.params,
        "owner": request.owner_id,
        "units": list(call.org.subtree(request.unit_id)) if request.unit_id else None,
        "kinds": list(rules.kinds),
        "least": rules.least,
        "from": call.home.moment(begins),
        "to": call.home.moment(ends),
        "open_only": request.open_only,
        "after": after,
        "after_owner": after_owner,
        "limit": pages.size(request) + 1,
    }
    found = await call.db.all(PAGE, params)
    page, token = pages.split(found, request, lambda row: [row["account_id"], row["owner_id"]])
    return pb.ListRevisitsResponse(
        revisits=[
            pb.Revisit(
                account_id=row["account_id"],
                account_name=row["account_name"] or "",
                ownership=common_pb2.Ownership(owner_id=row["owner_id"], unit_id=row["unit_id"]),
                month=protos.date_proto(ends),
                activity_ids=row["activity_ids"],
                done=row["done"],
            )
            for row in page
        ],
        next_page_token=token,
    )
