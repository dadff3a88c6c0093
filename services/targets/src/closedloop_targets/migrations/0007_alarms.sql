-- A holder's week against its forecast, or against its target where nothing was forecast.
CREATE TABLE deviation (
    holder_kind     text NOT NULL,
    holder_id       text NOT NULL,
    unit_id         text NOT NULL,
    owner_id        text NOT NULL,
    target_id       text NOT NULL,
    metric          text NOT NULL,
    -- A week.
    period          text NOT NULL,
    start_date      date NOT NULL,
    end_date        date NOT NULL,
    target          bigint NOT NULL,
    forecast        bigint NOT NULL,
    -- False where the target stands for a forecast that nobody made.
    forecast_made   boolean NOT NULL,
    actual          bigint NOT NULL,
    currency        text NOT NULL,
    deviation_ratio double precision NOT NULL,
    light           smallint NOT NULL,
    weeks_under     integer NOT NULL,
    rule_version    bigint NOT NULL,
    alarm_id        text NOT NULL DEFAULT '',
    -- How often the week was told, late actuals included.
    revision        integer NOT NULL DEFAULT 1,
    PRIMARY KEY (holder_kind, holder_id, metric, start_date)
);
CREATE INDEX deviation_week ON deviation (start_date, metric, unit_id);

CREATE TABLE alarm (
    id                uuid PRIMARY KEY,
    kind              text NOT NULL,
    -- What is warned of, without its moment: one open alarm each.
    cause_key         text NOT NULL,
    light             smallint NOT NULL,
    state             text NOT NULL CHECK (state IN ('open', 'answered', 'resolved', 'lapsed')),
    owner_id          text NOT NULL,
    unit_id           text NOT NULL,
    holder_kind       text NOT NULL,
    holder_id         text NOT NULL,
    target_id         text NOT NULL,
    subject           text NOT NULL,
    metric            text NOT NULL,
    period            text NOT NULL,
    start_date        date NOT NULL,
    end_date          date NOT NULL,
    actual            bigint NOT NULL,
    reference         bigint NOT NULL,
    currency          text NOT NULL,
    deviation_ratio   double precision NOT NULL,
    message           text NOT NULL,
    rule              text NOT NULL,
    rule_version      bigint NOT NULL,
    causes            jsonb NOT NULL,
    raised_at         timestamptz NOT NULL,
    due_at            timestamptz NOT NULL,
    escalation_level  integer NOT NULL DEFAULT 0,
    repeat_count      integer NOT NULL DEFAULT 0,
    task_id           text NOT NULL DEFAULT '',
    responder_id      text NOT NULL DEFAULT '',
    first_answered_at timestamptz,
    cause             text NOT NULL DEFAULT '',
    action            text NOT NULL DEFAULT '',
    check_date        date,
    -- repeat_count when it was answered: a cause that came up again since shows that the action did not work.
    answered_repeats  integer NOT NULL DEFAULT 0,
    checks            jsonb NOT NULL DEFAULT '[]',
    settled_at        timestamptz,
    version           bigint NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX alarm_open_key ON alarm (cause_key) WHERE state IN ('open', 'answered');
CREATE INDEX alarm_severity ON alarm (light DESC, raised_at DESC, id);
CREATE INDEX alarm_holder ON alarm (holder_id, metric, raised_at);
