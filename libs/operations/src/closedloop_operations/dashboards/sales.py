"""What sales look at in the morning: people, teams, key customers, neighbours, the funnel (S10-S12, S18, S47)."""

from __future__ import annotations

from typing import Any

from closedloop_operations.dashboards.reports import Choice, Report, board, line

TAKEN = "date = (SELECT max(date) FROM report.{view} WHERE {metric} = '$metric' AND taken_at <= $__timeTo())"
PEOPLE_DAY = TAKEN.format(view="person_progress", metric="metric")
TEAMS_DAY = TAKEN.format(view="team_ranking", metric="metric")
NEIGHBOURS_DAY = TAKEN.format(view="alignment", metric="driven_metric")
RATIO = "percentunit"

PEOPLE = (
    Report(
        "Done and target by person",
        "The board as it was taken on the last morning of the time shown, lowest completion first. Red are two weeks in a"
        " row under the weekly target, whatever the completion.",
        "targets",
        f"""SELECT person AS "Person", unit AS "Unit", period AS "Period", done AS "Done", target AS "Target",
                   completion AS "Completion", light AS "Light", weeks_under AS "Weeks under", currency AS "Currency",
                   taken_at AS "Taken"
              FROM report.person_progress WHERE metric = '$metric' AND {PEOPLE_DAY} ORDER BY place""",
        columns={"Completion": RATIO, "Taken": "dateTimeFromNow"},
    ),
    line(
        "Completion of everybody by day", "Everything done over everything asked for, as taken each morning.", "targets",
        """SELECT min(taken_at) AS time, (sum(done) / nullif(sum(target), 0))::float8 AS "completion"
             FROM report.person_progress WHERE metric = '$metric' AND $__timeFilter(taken_at) GROUP BY date ORDER BY time""",
        RATIO,
    ),
    line(
        "People by light and day", "How many people each light shone for, as taken each morning.", "targets",
        """SELECT min(taken_at) AS time, light AS metric, count(*) AS people
             FROM report.person_progress WHERE metric = '$metric' AND $__timeFilter(taken_at)
            GROUP BY date, light ORDER BY time""",
    ),
)  # fmt: skip
TEAMS = (
    Report(
        "Teams by completion",
        "The ranking of the last week of the time shown; equal completion shares a rank.",
        "targets",
        f"""SELECT rank AS "Rank", rank_before AS "Rank before", unit AS "Unit", leader AS "Leader", done AS "Done",
                   target AS "Target", completion AS "Completion", light AS "Light", currency AS "Currency",
                   taken_at AS "Taken"
              FROM report.team_ranking WHERE kind = '$kind' AND metric = '$metric' AND {TEAMS_DAY} ORDER BY rank, unit""",
        columns={"Completion": RATIO, "Taken": "dateTimeFromNow"},
        width=14,
    ),
    line(
        "Teams by week", "Completion of each unit of the kind, as ranked each week.", "targets",
        """SELECT taken_at AS time, unit AS metric, completion
             FROM report.team_ranking WHERE kind = '$kind' AND metric = '$metric' AND $__timeFilter(taken_at)
            ORDER BY time""",
        RATIO, width=10,
    ),
)  # fmt: skip
CUSTOMERS = (
    Report(
        "Key customers and the stage each is in",
        "The stalest first. Days run from the last activity or new stage; whoever is reminded has been told and has not"
        " moved it since.",
        "targets",
        """SELECT customer AS "Customer", grade AS "Grade", owner AS "Owner", unit AS "Unit", pipeline AS "Pipeline",
                  stage AS "Stage", open_amount AS "Open", currency AS "Currency", last_activity_at AS "Last activity",
                  floor(extract(epoch FROM $__timeTo()::timestamptz - last_movement_at) / 86400)::int AS "Days still",
                  reminded_at AS "Reminded"
             FROM report.key_customer WHERE grade = '$grade' ORDER BY last_movement_at NULLS FIRST, customer LIMIT 500""",
        columns={"Last activity": "dateTimeFromNow", "Reminded": "dateTimeFromNow", "Days still": "d"},
    ),
)
NEIGHBOURS = (
    Report(
        "Neighbours beside the attainment they drive",
        "Marketing's conversion of leads, supply chain's delivery, support's time to resolve: their figure and target, what"
        " the company reached, and how the two moved together over full months.",
        "targets",
        f"""SELECT metric AS "Metric", department AS "Department", value AS "Value", target AS "Target", light AS "Light",
                   attainment AS "Attainment", correlation AS "Correlation", months AS "Months", verdict AS "Verdict",
                   taken_at AS "Taken"
              FROM report.alignment WHERE driven_metric = '$metric' AND {NEIGHBOURS_DAY} ORDER BY place""",
        columns={"Attainment": RATIO, "Taken": "dateTimeFromNow"},
    ),
)
FUNNEL = (
    Report(
        "Stages and their conversion",
        "Open deals as they stand now; entered, advanced and lost within the time shown. Advanced may exceed entered: a stage"
        " can be left by deals that came before.",
        "funnel",
        """WITH move AS (SELECT * FROM report.stage_move WHERE pipeline = '$pipeline' AND $__timeFilter(at)),
                moved AS (
             SELECT stage, count(*) FILTER (WHERE came) AS entered,
                    count(*) FILTER (WHERE NOT came AND direction IN ('forward', 'won')) AS advanced,
                    count(*) FILTER (WHERE NOT came AND direction = 'lost') AS lost,
                    percentile_cont(0.5) WITHIN GROUP (ORDER BY dwell_days) FILTER (WHERE NOT came) AS half_within,
                    percentile_cont(0.9) WITHIN GROUP (ORDER BY dwell_days) FILTER (WHERE NOT came) AS most_within
               FROM (SELECT to_stage AS stage, true AS came, direction, dwell_days FROM move
                     UNION ALL
                     SELECT from_stage, false, direction, dwell_days FROM move WHERE from_stage <> '') AS side
              GROUP BY stage
           ), standing AS (
             SELECT stage, sum(deals) AS deals, sum(amount) AS amount, sum(overdue) AS overdue
               FROM report.stage_stock WHERE pipeline = '$pipeline' GROUP BY stage
           )
           SELECT stage AS "Stage", coalesce(deals, 0) AS "Open", coalesce(amount, 0) AS "Amount",
                  coalesce(overdue, 0) AS "Overdue", coalesce(entered, 0) AS "Entered", coalesce(advanced, 0) AS "Advanced",
                  coalesce(lost, 0) AS "Lost", advanced::float8 / nullif(entered, 0) AS "Conversion",
                  half_within AS "Half within", most_within AS "Nine of ten within"
             FROM moved FULL JOIN standing USING (stage) ORDER BY "Entered" DESC, stage""",
        columns={"Conversion": RATIO, "Half within": "d", "Nine of ten within": "d"},
    ),
    line(
        "Open deals each morning", "By stage, as pictured each morning.", "funnel",
        """SELECT taken_at AS time, stage AS metric, deals
             FROM report.stage_morning WHERE pipeline = '$pipeline' AND $__timeFilter(taken_at) ORDER BY time""",
    ),
    line(
        "Moves by day", "Deals that moved, by the way they went.", "funnel",
        """SELECT $__timeGroupAlias(at, '1d'), direction AS metric, count(*) AS moves
             FROM report.stage_move WHERE pipeline = '$pipeline' AND $__timeFilter(at) GROUP BY 1, 2 ORDER BY 1""",
    ),
)  # fmt: skip


def dashboard() -> Any:
    return board(
        "closedloop-sales",
        "Closedloop / Sales boards",
        "People and teams against their targets, key customers, neighbouring departments, and the funnel.",
        ("now-30d", "now"),
        [
            Choice("metric", "Metric", "targets",
                   "SELECT metric FROM report.person_progress GROUP BY metric ORDER BY count(*) DESC, metric"),
            Choice("kind", "Ranked units", "targets",
                   "SELECT kind FROM report.team_ranking GROUP BY kind ORDER BY count(*) DESC, kind"),
            Choice("grade", "Grade", "targets", "SELECT DISTINCT grade FROM report.key_customer ORDER BY grade"),
            Choice("pipeline", "Pipeline", "funnel",
                   "SELECT pipeline FROM report.stage_move GROUP BY pipeline ORDER BY count(*) DESC, pipeline"),
        ],
        [
            ("People", PEOPLE),
            ("Teams", TEAMS),
            ("Key customers", CUSTOMERS),
            ("Neighbouring departments", NEIGHBOURS),
            ("Funnel", FUNNEL),
        ],
    )  # fmt: skip
