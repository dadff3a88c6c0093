-- Trials of measures on one or two bottlenecks: what was before is frozen when they begin.

CREATE TABLE pilot (
    id                  uuid PRIMARY KEY,
    version             bigint NOT NULL,
    name                text NOT NULL,
    owner_id            text NOT NULL,
    unit_id             text NOT NULL,
    -- running, concluded
    state               text NOT NULL,
    -- Bottleneck of the contract, as JSON, as they were when it began.
    bottlenecks         jsonb NOT NULL,
    measures            text NOT NULL,
    unit_ids            text[] NOT NULL,
    comparison_unit_ids text[] NOT NULL,
    -- All units at and below them, as the tree was then.
    touched             text[] NOT NULL,
    compared            text[] NOT NULL,
    start_date          date NOT NULL,
    end_date            date NOT NULL CHECK (end_date >= start_date),
    baseline_from       timestamptz NOT NULL,
    baseline_to         timestamptz NOT NULL,
    -- By key of the bottleneck: {"pilot": {"person": [values]}, "comparison": {...}}.
    baseline            jsonb NOT NULL,
    -- BeforeAfter and Estimate of the contract, as JSON: {"results": [], "net_effects": []}; once it is concluded.
    results             jsonb,
    -- spread, change, drop
    decision            text NOT NULL DEFAULT '',
    conclusion          text NOT NULL DEFAULT '',
    created_at          timestamptz NOT NULL,
    concluded_at        timestamptz
);
CREATE INDEX pilot_created ON pilot (created_at DESC, id);

CREATE TABLE pilot_feedback (
    id        uuid PRIMARY KEY,
    pilot_id  uuid NOT NULL REFERENCES pilot,
    person_id text NOT NULL,
    rating    integer NOT NULL,
    text      text NOT NULL DEFAULT '',
    at        timestamptz NOT NULL
);
CREATE INDEX pilot_feedback_newest ON pilot_feedback (pilot_id, at DESC, id);
