-- Two weeks of practice: who, which scenarios, and every go at them.

CREATE TABLE drill (
    id              uuid PRIMARY KEY,
    name            text NOT NULL,
    owner_id        text NOT NULL,
    unit_id         text NOT NULL,
    scenario_keys   text[] NOT NULL,
    participant_ids text[] NOT NULL,
    start_date      date NOT NULL,
    end_date        date NOT NULL CHECK (end_date >= start_date),
    created_at      timestamptz NOT NULL
);
CREATE INDEX drill_created ON drill (created_at DESC, id);

CREATE TABLE drill_attempt (
    id             uuid PRIMARY KEY,
    version        bigint NOT NULL,
    drill_id       uuid NOT NULL REFERENCES drill,
    person_id      text NOT NULL,
    unit_id        text NOT NULL,
    scenario_key   text NOT NULL,
    text           text NOT NULL,
    attachment_ids uuid[] NOT NULL DEFAULT '{}',
    -- [{"key", "grade", "comment"}]
    grades         jsonb NOT NULL DEFAULT '[]',
    grade          float8,
    grader_id      text NOT NULL DEFAULT '',
    comment        text NOT NULL DEFAULT '',
    submitted_at   timestamptz NOT NULL,
    graded_at      timestamptz
);
CREATE INDEX drill_attempt_drill ON drill_attempt (drill_id, person_id);
CREATE INDEX drill_attempt_submitted ON drill_attempt (submitted_at DESC, id);
