-- Manual reviews opened by rule.

CREATE TABLE review (
    id              uuid PRIMARY KEY,
    version         bigint NOT NULL,
    -- intake, process
    kind            text NOT NULL,
    -- open, concluded
    state           text NOT NULL,
    owner_id        text NOT NULL,
    unit_id         text NOT NULL,
    opportunity_ids uuid[] NOT NULL DEFAULT '{}',
    day             date NOT NULL,
    -- [{"name", "value", "unit"}]
    evidence        jsonb NOT NULL DEFAULT '[]',
    explanation     text NOT NULL,
    rule_version    bigint NOT NULL,
    reviewer_id     text NOT NULL DEFAULT '',
    conclusion      text NOT NULL DEFAULT '',
    rejected_ids    uuid[] NOT NULL DEFAULT '{}',
    created_at      timestamptz NOT NULL,
    concluded_at    timestamptz
);
CREATE UNIQUE INDEX review_intake ON review (owner_id, day) WHERE kind = 'intake';
CREATE INDEX review_created ON review (created_at DESC, id);
CREATE INDEX opportunity_review ON opportunity (review_id) WHERE review_id IS NOT NULL;
CREATE INDEX opportunity_created ON opportunity (created_at);
