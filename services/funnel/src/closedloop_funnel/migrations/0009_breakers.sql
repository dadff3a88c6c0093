-- The circuit breaker of each seller, with every opening and closing.

CREATE TABLE breaker (
    person_id         text PRIMARY KEY,
    version           bigint NOT NULL,
    unit_id           text NOT NULL,
    -- open: no leads come through
    state             text NOT NULL CHECK (state IN ('open', 'closed')),
    week              date NOT NULL,
    visit_count       integer NOT NULL,
    opportunity_count integer NOT NULL,
    explanation       text NOT NULL,
    rule_version      bigint NOT NULL,
    opened_at         timestamptz NOT NULL,
    closed_at         timestamptz,
    closed_by         text NOT NULL DEFAULT '',
    close_reason      text NOT NULL DEFAULT ''
);
CREATE INDEX breaker_state ON breaker (state DESC, person_id);

CREATE TABLE breaker_change (
    person_id         text NOT NULL REFERENCES breaker,
    version           bigint NOT NULL,
    state             text NOT NULL,
    at                timestamptz NOT NULL,
    visit_count       integer NOT NULL,
    opportunity_count integer NOT NULL,
    author_id         text NOT NULL,
    reason            text NOT NULL,
    PRIMARY KEY (person_id, version)
);
CREATE INDEX opportunity_begun ON opportunity (owner_id, created_at);
