-- Steps of playbooks at records: the one that is open now, and those done or skipped before.

CREATE TABLE playbook_step (
    record_type  text NOT NULL CHECK (record_type IN ('account', 'lead')),
    record_id    uuid NOT NULL,
    playbook     text NOT NULL,
    step         text NOT NULL,
    state        text NOT NULL CHECK (state IN ('open', 'done', 'skipped')),
    due_at       timestamptz NOT NULL,
    overdue_at   timestamptz NOT NULL,
    answers      jsonb NOT NULL DEFAULT '{}',
    note         text NOT NULL DEFAULT '',
    completed_by text NOT NULL DEFAULT '',
    completed_at timestamptz,
    PRIMARY KEY (record_id, playbook, step)
);
CREATE INDEX playbook_step_open ON playbook_step (due_at, record_id) WHERE state = 'open';
