-- A/B tests of management actions: fixed beforehand, looked at when it was said they would be.

CREATE TABLE experiment (
    id             uuid PRIMARY KEY,
    version        bigint NOT NULL,
    action_id      uuid NOT NULL REFERENCES management_action,
    owner_id       text NOT NULL,
    unit_id        text NOT NULL,
    hypothesis     text NOT NULL,
    -- draft, running, concluded
    state          text NOT NULL,
    -- ExperimentDesign of the contract, as JSON, with the rulebook's defaults filled in.
    design         jsonb NOT NULL,
    -- What was known beforehand: baseline, needed sample, power, detectable effect.
    plan           jsonb NOT NULL,
    seed           bigint,
    effect         jsonb,
    verdict        text NOT NULL DEFAULT '',
    stop_reason    text NOT NULL DEFAULT '',
    created_at     timestamptz NOT NULL,
    started_at     timestamptz,
    planned_end_at timestamptz,
    concluded_at   timestamptz
);
CREATE INDEX experiment_created ON experiment (created_at DESC, id);
CREATE INDEX experiment_action ON experiment (action_id);
-- An action is tested by one at a time.
CREATE UNIQUE INDEX experiment_running ON experiment (action_id) WHERE state = 'running';

CREATE TABLE experiment_unit (
    experiment_id uuid NOT NULL REFERENCES experiment,
    -- Person, team or account.
    unit_id       text NOT NULL,
    -- control, treatment
    arm           text NOT NULL,
    stratum       text NOT NULL,
    -- Whose work it touches.
    people        text[] NOT NULL,
    PRIMARY KEY (experiment_id, unit_id)
);

CREATE TABLE experiment_look (
    experiment_id uuid NOT NULL REFERENCES experiment,
    -- From 1; the last one is that at the planned end.
    number        integer NOT NULL,
    at            timestamptz NOT NULL,
    effect        jsonb NOT NULL,
    -- Estimate by arm.
    arms          jsonb NOT NULL,
    -- Whether the stopping rule lets it end here.
    stops         boolean NOT NULL,
    PRIMARY KEY (experiment_id, number)
);
