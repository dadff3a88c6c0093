-- A random share of contacts is asked about.

CREATE TABLE survey_sample (
    id           uuid PRIMARY KEY,
    begins       timestamptz NOT NULL,
    ends         timestamptz NOT NULL,
    unit_id      text NOT NULL,
    seed         bigint NOT NULL,
    sample_ratio float8 NOT NULL,
    population   bigint NOT NULL,
    drawn        bigint NOT NULL,
    created_at   timestamptz NOT NULL
);
CREATE UNIQUE INDEX survey_sample_period ON survey_sample (begins, ends, unit_id);
CREATE INDEX survey_sample_created ON survey_sample (created_at DESC, id);

CREATE TABLE survey (
    id             uuid PRIMARY KEY,
    sample_id      uuid NOT NULL REFERENCES survey_sample,
    activity_id    uuid NOT NULL REFERENCES activity,
    account_id     uuid,
    contact_id     uuid,
    owner_id       text NOT NULL,
    unit_id        text NOT NULL,
    -- sent, undeliverable, answered, opted_out; a sent one is expired after expires_at
    state          text NOT NULL,
    -- [{"question_key", "value"}]
    answers        jsonb NOT NULL DEFAULT '[]',
    satisfaction   float8,
    -- What the answers contradict in the log, in sentences.
    contradictions text[] NOT NULL DEFAULT '{}',
    sent_at        timestamptz NOT NULL,
    answered_at    timestamptz,
    expires_at     timestamptz NOT NULL
);
CREATE UNIQUE INDEX survey_activity ON survey (sample_id, activity_id);
CREATE INDEX survey_sent ON survey (sent_at DESC, id);
