"""Whether what was raised was answered, as figures whose tasks can be asked for (S79, S102); and how whole tasks are (S80)."""

from __future__ import annotations

from closedloop_approvals.tasks.rules import TaskRules
from closedloop_chassis.figures.declared import Field, Figure, Figures, Record, Rows, ScopeWord

LOOP, TASKS = "TaskService.GetLoopReport", "TaskService.ListTasks"
BY: tuple[ScopeWord, ...] = ("unit", "person", "account", "kind")

# A task is its assignee's; a report by unit is about the unit of what caused it.
TASK = """
'task' AS record_type, t.id::text AS record_id, t.assignee_id AS owner_id, t.assignee_unit_id AS unit_id,
t.account_id::text AS account_id, t.kind, t.raised_at AS record_time, t.origin AS source, t.cause_key AS source_id,
jsonb_build_object('number', t.title, 'date', (t.raised_at AT TIME ZONE %(zone)s)::date, 'warning', t.warning,
                   'state', t.state, 'due', t.due_at, 'escalation_level', t.escalation_level) AS fields
  FROM task t
"""
OVERDUE = f"SELECT t.state AS input, 1 AS amount, {TASK} WHERE t.state IN ('open', 'started') AND t.due_at < %(now)s"
# As the loop report counts: by when they were raised, without those that asked for nothing in the end.
ACTED = f"""
SELECT CASE WHEN t.responded_at IS NULL THEN 'not_acted' ELSE 'acted' END AS input,
       (t.responded_at IS NOT NULL AND t.escalation_level = 0 AND t.responded_at <= t.due_at)::int::float8 AS amount, {TASK}
 WHERE t.raised_at >= %(from)s AND t.raised_at < %(to)s AND t.state NOT IN ('withdrawn', 'cancelled')
"""
RESPONSES = f"""
SELECT t.state AS input, extract(epoch FROM t.responded_at - t.cause_at)::float8 / 3600 AS amount, {TASK}
 WHERE t.raised_at >= %(from)s AND t.raised_at < %(to)s AND t.responded_at >= t.cause_at
"""

RAISED = """
SELECT t.id, t.kind || ' (' || t.id || ')' AS label, t.assignee_id AS owner_id, t.assignee_unit_id AS unit_id, t.state,
       t.assignee_id, t.outcome, t.outcome_comment, t.outcomes, t.subject_id, t.origin, t.raised_at AS recorded_at,
       t.cause_at AS occurred_at
  FROM task t
 WHERE t.raised_at < %(to)s AND (t.settled_at IS NULL OR t.settled_at >= %(from)s OR t.raised_at >= %(from)s)
"""

FIGURES = Figures(
    figures=(
        Figure(
            name="approvals.overdue_tasks",
            title="逾期任务数",
            definition="open tasks whose time has passed",
            formula="count(tasks)",
            unit="1",
            sources=("derived", "manual"),
            scopes=BY,
            shown_in=(TASKS,),
            records=("task",),
            step="open tasks past their time",
            rule=(TaskRules, "kinds"),
            trace=Rows(sql=OVERDUE, standing=True),
        ),
        Figure(
            name="approvals.acted_in_time",
            title="预警按时响应率",
            definition="tasks raised in the period that somebody acted on in time, without climbing the line",
            formula="acted in time / raised",
            unit="1",
            sources=("derived", "manual"),
            scopes=BY,
            shown_in=(LOOP,),
            records=("task",),
            step="share of tasks raised",
            rule=(TaskRules, "kinds"),
            trace=Rows(sql=ACTED, how="mean"),
        ),
        Figure(
            name="approvals.response_hours",
            title="预警响应用时中位数",
            definition="plain hours from the cause to the first act, of tasks raised in the period",
            formula="quantile 0.5 (hours)",
            unit="h",
            sources=("derived", "manual"),
            scopes=BY,
            shown_in=(LOOP,),
            records=("task",),
            step="median of tasks acted on",
            rule=(TaskRules, "kinds"),
            trace=Rows(sql=RESPONSES, how=0.5),
        ),
    ),
    records=(
        Record(
            name="task",
            title="tasks",
            source="derived",
            arrival="raised by a warning of any service, or by people",
            sql=RAISED,
            fields=(
                Field(
                    name="assignee_id",
                    filled="r.assignee_id <> ''",
                    suggestion="name a manager of the unit: the task found nobody",
                ),
                Field(
                    name="outcome",
                    expected="r.state = 'done' AND r.outcomes <> '{}'",
                    filled="r.outcome <> ''",
                    suggestion="say how it ended when a task is completed",
                ),
                Field(
                    name="subject",
                    kind="missing_reference",
                    expected="r.origin <> 'manual'",
                    filled="r.subject_id <> ''",
                    suggestion="let the warning name the record it is about",
                ),
            ),
            late_suggestion="look for what holds events up: tasks come later than a day after their cause",
        ),
    ),
)
