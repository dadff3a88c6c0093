-- Sittings of managers: exercises on real figures, answers, grades.

CREATE TABLE certification (
    id           uuid PRIMARY KEY,
    version      bigint NOT NULL,
    person_id    text NOT NULL,
    unit_id      text NOT NULL,
    -- running, submitted, passed, failed; past its time a running one, past its validity a passed one is expired
    state        text NOT NULL,
    -- [{"id", "subject", "kind", "question", "figures", "choices", "right", "tolerance", "solution", "answer", "grade", "comment"}]
    exercises    jsonb NOT NULL,
    started_at   timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    submitted_at timestamptz,
    settled_at   timestamptz,
    valid_until  date
);
CREATE INDEX certification_started ON certification (started_at DESC, id);
CREATE INDEX certification_person ON certification (person_id, started_at DESC);
