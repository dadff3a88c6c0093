-- Work that a person must do because something happened.

CREATE TABLE task (
    id                   uuid PRIMARY KEY,
    kind                 text NOT NULL,
    title                text NOT NULL,
    description          text NOT NULL,
    assignee_role        text NOT NULL,
    -- Ownership of the record that caused it.
    owner_id             text NOT NULL,
    unit_id              text NOT NULL,
    origin               text NOT NULL,
    cause_key            text NOT NULL,
    warning              text NOT NULL,
    light                smallint NOT NULL,
    priority             smallint NOT NULL,
    subject_type         text NOT NULL,
    subject_id           text NOT NULL,
    account_id           uuid,
    opportunity_id       uuid,
    cause_at             timestamptz,
    evidence             jsonb NOT NULL,
    rule                 jsonb,
    outcomes             text[] NOT NULL,
    check_window         interval NOT NULL,
    custom_fields        jsonb,
    -- open, started, done, cancelled, withdrawn; asleep while snoozed_until lies ahead.
    state                text NOT NULL CHECK (state IN ('open', 'started', 'done', 'cancelled', 'withdrawn')),
    assignee_id          text NOT NULL,
    assignee_unit_id     text NOT NULL,
    original_assignee_id text NOT NULL,
    raised_by            text NOT NULL,
    -- Whoever raised it or ever had it.
    participants         text[] NOT NULL,
    raised_at            timestamptz NOT NULL,
    due_at               timestamptz NOT NULL,
    snoozed_until        timestamptz,
    responded_at         timestamptz,
    settled_at           timestamptz,
    settled_by           text NOT NULL DEFAULT '',
    settled_for          text NOT NULL DEFAULT '',
    outcome              text NOT NULL DEFAULT '',
    outcome_comment      text NOT NULL DEFAULT '',
    outcome_fields       jsonb,
    escalation_level     integer NOT NULL DEFAULT 0,
    repeats              integer NOT NULL DEFAULT 0,
    effect               text NOT NULL CHECK (effect IN ('pending', 'worked', 'recurred', 'not_checked')),
    effect_due_at        timestamptz,
    effect_evidence      jsonb NOT NULL DEFAULT '[]',
    previous_task_id     uuid,
    provenance           jsonb NOT NULL,
    attachments          jsonb NOT NULL DEFAULT '[]',
    version              bigint NOT NULL
);
-- One open task per cause.
CREATE UNIQUE INDEX task_cause_key ON task (origin, cause_key) WHERE state IN ('open', 'started');
CREATE INDEX task_cause ON task (origin, cause_key, settled_at);
CREATE INDEX task_desk ON task (assignee_id, due_at) WHERE state IN ('open', 'started');
CREATE INDEX task_due ON task (due_at, id);
CREATE INDEX task_assignee_unit ON task (assignee_unit_id, due_at);
CREATE INDEX task_opportunity ON task (opportunity_id) WHERE opportunity_id IS NOT NULL;
CREATE INDEX task_account ON task (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX task_subject ON task (subject_type, subject_id);
CREATE INDEX task_participants ON task USING gin (participants);

CREATE TABLE task_history (
    task_id        uuid NOT NULL REFERENCES task (id),
    sequence       bigint GENERATED ALWAYS AS IDENTITY,
    time           timestamptz NOT NULL,
    actor_id       text NOT NULL,
    on_behalf_of   text NOT NULL,
    action         text NOT NULL,
    comment        text NOT NULL,
    from_person_id text NOT NULL,
    to_person_id   text NOT NULL,
    PRIMARY KEY (task_id, sequence)
);

-- Names of accounts as customers tells them, for lines of the work list.
CREATE TABLE account (
    id      uuid PRIMARY KEY,
    name    text NOT NULL,
    version bigint NOT NULL
);
