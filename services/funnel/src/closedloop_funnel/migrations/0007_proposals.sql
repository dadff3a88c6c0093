-- Proposals given to customers, and what the customers said to them.

CREATE TABLE proposal (
    id             uuid PRIMARY KEY,
    version        bigint NOT NULL,
    opportunity_id uuid NOT NULL REFERENCES opportunity,
    account_id     uuid,
    owner_id       text NOT NULL,
    unit_id        text NOT NULL,
    title          text NOT NULL,
    custom         boolean NOT NULL,
    summary        text NOT NULL DEFAULT '',
    -- [{"key", "text", "raised", "concern"}]
    clauses        jsonb NOT NULL DEFAULT '[]',
    attachment_ids uuid[] NOT NULL DEFAULT '{}',
    submitted_at   timestamptz NOT NULL,
    feedback       text NOT NULL DEFAULT '',
    feedback_at    timestamptz,
    updated_at     timestamptz NOT NULL
);
CREATE INDEX proposal_opportunity ON proposal (opportunity_id, submitted_at);
CREATE INDEX proposal_submitted ON proposal (submitted_at DESC, id);

-- Weeks that were judged, so that what followed is set going once.
CREATE TABLE process_metric (
    person_id    text NOT NULL,
    week         date NOT NULL,
    key          text NOT NULL,
    unit_id      text NOT NULL,
    value        float8 NOT NULL,
    sample_size  bigint NOT NULL,
    light        text NOT NULL,
    weeks_beyond integer NOT NULL,
    consequence  text NOT NULL DEFAULT '',
    measured_at  timestamptz NOT NULL,
    PRIMARY KEY (person_id, week, key)
);
CREATE INDEX process_metric_week ON process_metric (week, key);
CREATE INDEX activity_planned_visit ON activity (planned_to) WHERE kind = 'visit' AND planned_to IS NOT NULL;
