-- Scorecards that were fixed. A record keeps its id over its revisions; none is ever changed.
CREATE TABLE appraisal (
    id         uuid NOT NULL,
    revision   integer NOT NULL,
    person_id  text NOT NULL,
    -- Where the person was at the end of the period.
    unit_id    text NOT NULL,
    period     text NOT NULL,
    start_date date NOT NULL,
    end_date   date NOT NULL,
    issued_at  timestamptz NOT NULL,
    -- SHA-256 of the figures in canonical form, the same for as long as they are.
    digest     text NOT NULL,
    latest     boolean NOT NULL,
    -- The record as the contract shows it.
    data       bytea NOT NULL,
    PRIMARY KEY (id, revision)
);
CREATE UNIQUE INDEX appraisal_latest_key ON appraisal (person_id, period) WHERE latest;
CREATE INDEX appraisal_list ON appraisal (start_date DESC, person_id) WHERE latest;
