"""The business day, on one page: what came in, what moved, what was decided, what was done, what went out."""

from __future__ import annotations

from typing import Any

from closedloop_operations.dashboards.reports import Report, board, line, number

RATIO, SECONDS = "percentunit", "s"

LEADS = (
    number("Leads", "Inquiries that came in.", "customers",
           "SELECT count(*) FROM report.lead WHERE $__timeFilter(received_at)"),
    number("Answered in time", "Of the leads that came in and have been answered or should have been, how many in time.",
           "customers",
           """SELECT (count(*) FILTER (WHERE responded_in_time))::float8
                   / nullif(count(*) FILTER (WHERE responded_in_time IS NOT NULL OR response_due_at <= $__timeTo()), 0)
                FROM report.lead WHERE $__timeFilter(received_at)""", RATIO),
    number("Half were answered within", "From coming in to the first answer, on the plain clock.", "customers",
           """SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM responded_at - received_at))
                FROM report.lead WHERE $__timeFilter(received_at)""", SECONDS),
    number("Wait for an answer", "Leads of any day that nobody has answered and nobody has closed.", "customers",
           """SELECT count(*) FROM report.lead
               WHERE responded_at IS NULL AND stage <> 'closed' AND received_at <= $__timeTo()"""),
    number("Converted", "Leads that turned into business.", "customers",
           "SELECT count(*) FROM report.lead WHERE $__timeFilter(converted_at)"),
    number("Escalated", "Leads that came in and were taken from whom they were given to, or told to a manager.",
           "customers",
           "SELECT count(*) FROM report.lead WHERE escalation_level > 0 AND $__timeFilter(received_at)"),
    Report("Leads by source", "Where they came from, and how they were answered.", "customers",
           """SELECT source AS "Source", count(*) AS "Leads", count(responded_at) AS "Answered",
                     count(*) FILTER (WHERE responded_in_time) AS "In time", count(converted_at) AS "Converted"
                FROM report.lead WHERE $__timeFilter(received_at) GROUP BY source ORDER BY 2 DESC, 1""", width=12),
    Report("Leads by owner", "Who was given them, and how they were answered.", "customers",
           """SELECT owner AS "Owner", unit AS "Unit", count(*) AS "Leads", count(responded_at) AS "Answered",
                     count(*) FILTER (WHERE responded_in_time) AS "In time"
                FROM report.lead WHERE $__timeFilter(received_at) GROUP BY owner, unit ORDER BY 3 DESC, 1 LIMIT 100""",
           width=12),
)  # fmt: skip
FUNNEL = (
    number("Deals opened", "New opportunities.", "funnel",
           "SELECT count(*) FROM report.stage_move WHERE direction = 'opened' AND NOT imported AND $__timeFilter(at)"),
    number("Steps forward", "Deals that moved to a later stage.", "funnel",
           "SELECT count(*) FROM report.stage_move WHERE direction = 'forward' AND $__timeFilter(at)"),
    number("Won", "Deals signed.", "funnel",
           "SELECT count(*) FROM report.deal_closed WHERE outcome = 'won' AND $__timeFilter(closed_at)"),
    number("Won, in money", "Of the deals signed, in the company's currency.", "funnel",
           """SELECT coalesce(sum(amount), 0) FROM report.deal_closed
               WHERE outcome = 'won' AND $__timeFilter(closed_at)"""),
    number("Lost", "Deals given up.", "funnel",
           "SELECT count(*) FROM report.deal_closed WHERE outcome = 'lost' AND $__timeFilter(closed_at)"),
    number("Effective contacts", "Of what was done with customers, how much had content and a result.", "funnel",
           """SELECT (count(*) FILTER (WHERE effective))::float8 / nullif(count(*), 0)
                FROM report.activity WHERE state = 'done' AND $__timeFilter(at)""", RATIO),
    Report("Deals that ended", "Won and lost, the largest first.", "funnel",
           """SELECT outcome AS "Outcome", owner AS "Owner", unit AS "Unit", from_stage AS "From stage", amount AS "Amount",
                     currency AS "Currency", reason_code AS "Reason", closed_at AS "At"
                FROM report.deal_closed WHERE $__timeFilter(closed_at) ORDER BY amount DESC NULLS LAST LIMIT 100""",
           width=12, columns={"At": "dateTimeAsLocal"}),
    Report("Contacts by kind", "What was done with customers, by unit.", "funnel",
           """SELECT unit AS "Unit", kind AS "Kind", count(*) AS "Done", count(*) FILTER (WHERE effective) AS "Effective",
                     count(*) FILTER (WHERE authenticity IN ('suspect', 'confirmed_false')) AS "Doubtful"
                FROM report.activity WHERE state = 'done' AND $__timeFilter(at) GROUP BY unit, kind ORDER BY 3 DESC, 1, 2""",
           width=12),
)  # fmt: skip
DECISIONS = (
    number("Asked for", "Decisions asked for.", "approvals",
           "SELECT count(*) FROM report.decision WHERE NOT not_required AND $__timeFilter(opened_at)"),
    number("Decided", "Decisions made.", "approvals",
           "SELECT count(*) FROM report.decision WHERE NOT not_required AND $__timeFilter(closed_at)"),
    number("Decided in time", "Of the decisions made, how many before they had to be passed on.", "approvals",
           """SELECT (count(*) FILTER (WHERE in_time))::float8 / nullif(count(*), 0)
                FROM report.decision WHERE NOT not_required AND $__timeFilter(closed_at)""", RATIO),
    number("Half were decided within", "Time of the calendar in which somebody was asked.", "approvals",
           """SELECT extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY took))
                FROM report.decision WHERE NOT not_required AND $__timeFilter(closed_at)""", SECONDS),
    number("Wait for a decision", "Asked for on any day and not decided.", "approvals",
           "SELECT count(*) FROM report.decision WHERE state IN ('pending', 'returned') AND opened_at <= $__timeTo()"),
    number("Tasks overdue", "Of any day, neither done nor withdrawn at the end of the time shown.", "approvals",
           "SELECT count(*) FROM report.task WHERE state IN ('open', 'started') AND due_at <= $__timeTo()"),
    Report("Decisions by kind", "What was asked for, and what became of it.", "approvals",
           """SELECT kind AS "Kind", state AS "State", count(*) AS "Number",
                     count(*) FILTER (WHERE escalation_level > 0) AS "Escalated"
                FROM report.decision WHERE $__timeFilter(opened_at) GROUP BY kind, state ORDER BY 3 DESC, 1, 2""", width=12),
    Report("Tasks by kind", "Raised within the time shown, by what they were about.", "approvals",
           """SELECT kind AS "Kind", origin AS "Raised by", count(*) AS "Raised",
                     count(*) FILTER (WHERE state = 'done') AS "Done",
                     count(*) FILTER (WHERE effect = 'worked') AS "Worked",
                     count(*) FILTER (WHERE escalation_level > 0) AS "Escalated"
                FROM report.task WHERE $__timeFilter(raised_at) GROUP BY kind, origin ORDER BY 3 DESC, 1, 2""", width=12),
)  # fmt: skip
TARGETS = (
    Report("Booked by metric", "What was booked on the ledger within the time shown, whatever day it belongs to.", "targets",
           """SELECT metric AS "Metric", unit AS "Unit", sum(done) AS "Done", currency AS "Currency", count(*) AS "Entries"
                FROM report.actual WHERE $__timeFilter(recorded_at)
               GROUP BY metric, unit, currency ORDER BY 1, 3 DESC""", width=12),
    Report("Warnings", "Raised within the time shown or still without an answer, the gravest first.", "targets",
           """SELECT kind AS "Kind", light AS "Light", state AS "State", holder AS "Holder", owner AS "Answers",
                     message AS "What", raised_at AS "Raised", first_answered_at AS "Answered"
                FROM report.alarm
               WHERE $__timeFilter(raised_at) OR (first_answered_at IS NULL AND state = 'open' AND raised_at <= $__timeTo())
               ORDER BY array_position(ARRAY['red', 'yellow', 'blue', 'none'], light), raised_at DESC LIMIT 100""",
           width=12, columns={"Raised": "dateTimeFromNow", "Answered": "dateTimeFromNow"}),
)  # fmt: skip
OUTSIDE = (
    Report("Messages", "Asked for within the time shown: mail, SMS, robots, by what became of them.", "integrations",
           """SELECT channel AS "Channel", purpose AS "Purpose", state AS "State", count(*) AS "Messages"
                FROM report.delivery WHERE $__timeFilter(requested_at) GROUP BY channel, purpose, state
               ORDER BY 4 DESC, 1, 2, 3""", width=12),
    Report("Read from outside", "By source: what was taken, and what was set aside.", "integrations",
           """SELECT source AS "Source", count(*) AS "Runs", sum(created) AS "New", sum(updated) AS "Changed",
                     sum(rejected) AS "Rejected", sum(quarantined) AS "Set aside", count(*) FILTER (WHERE failed) AS "Failed"
                FROM report.run WHERE $__timeFilter(started_at) GROUP BY source ORDER BY 2 DESC, 1""", width=12),
    line("Mail", "Mail of customers, in and out, by hour.", "integrations",
         """SELECT $__timeGroupAlias(received_at, '1h'), direction AS metric, count(*) AS mails
              FROM report.mail WHERE $__timeFilter(received_at) GROUP BY 1, 2 ORDER BY 1"""),
    Report("Tenders that speak of customers", "Matches found within the time shown.", "integrations",
           """SELECT buyer AS "Buyer", kind AS "Kind", region AS "Region", state AS "State", confidence AS "Confidence",
                     publish_date AS "Published"
                FROM report.notice_match WHERE $__timeFilter(matched_at) ORDER BY confidence DESC LIMIT 100""",
           width=12, columns={"Confidence": RATIO}),
)  # fmt: skip


def dashboard() -> Any:
    return board(
        "closedloop-day",
        "Closedloop / Business day",
        "The day before, as it is read in the morning; any other day or span by the time shown.",
        ("now-1d/d", "now-1d/d"),
        [],
        [
            ("Leads", LEADS),
            ("Funnel", FUNNEL),
            ("Decisions and tasks", DECISIONS),
            ("Targets", TARGETS),
            ("Outside", OUTSIDE),
        ],
    )
