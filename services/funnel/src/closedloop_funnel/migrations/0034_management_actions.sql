-- What managers hold to, and what every quarter since brought.

CREATE TABLE management_action (
    id            uuid PRIMARY KEY,
    version       bigint NOT NULL,
    owner_id      text NOT NULL,
    unit_id       text NOT NULL,
    name          text NOT NULL,
    description   text NOT NULL DEFAULT '',
    metric_key    text NOT NULL,
    core          boolean NOT NULL DEFAULT false,
    -- active, ended
    state         text NOT NULL,
    start_date    date NOT NULL,
    end_date      date,
    -- In a row, the last judged quarter included.
    flat_quarters integer NOT NULL DEFAULT 0,
    -- PracticeComparison of the contract, as JSON; the newest that was sent.
    comparison    jsonb,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL
);
CREATE INDEX management_action_created ON management_action (created_at DESC, id);
CREATE INDEX management_action_active ON management_action (id) WHERE state = 'active';

CREATE TABLE management_quarter (
    action_id   uuid NOT NULL REFERENCES management_action,
    -- Its first day.
    quarter     date NOT NULL,
    -- Estimate of the contract, as JSON.
    value       jsonb NOT NULL,
    change      jsonb NOT NULL,
    -- NULL: too little data to say.
    flat        boolean,
    measured_at timestamptz NOT NULL,
    PRIMARY KEY (action_id, quarter)
);
