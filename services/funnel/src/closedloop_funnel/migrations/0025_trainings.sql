-- Trainings held, what attendees say of them; and people's judgement of abilities.

CREATE TABLE training (
    id                   uuid PRIMARY KEY,
    version              bigint NOT NULL,
    name                 text NOT NULL,
    description          text NOT NULL DEFAULT '',
    owner_id             text NOT NULL,
    unit_id              text NOT NULL,
    start_date           date NOT NULL,
    end_date             date NOT NULL CHECK (end_date >= start_date),
    cost_minor           bigint,
    currency             text NOT NULL DEFAULT '',
    attendee_ids         text[] NOT NULL DEFAULT '{}',
    article_ids          uuid[] NOT NULL DEFAULT '{}',
    ability_keys         text[] NOT NULL DEFAULT '{}',
    applied_hearing_keys text[] NOT NULL DEFAULT '{}',
    customer_types       text[] NOT NULL DEFAULT '{}',
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL
);
CREATE INDEX training_started ON training (start_date DESC, id);

CREATE TABLE training_feedback (
    training_id uuid NOT NULL REFERENCES training,
    person_id   text NOT NULL,
    rating      integer NOT NULL,
    -- case_mismatch, no_coaching, not_measured, no_occasion, other
    obstacles   text[] NOT NULL DEFAULT '{}',
    comment     text NOT NULL DEFAULT '',
    at          timestamptz NOT NULL,
    PRIMARY KEY (training_id, person_id)
);

CREATE TABLE ability_assessment (
    id          uuid PRIMARY KEY,
    person_id   text NOT NULL,
    unit_id     text NOT NULL,
    ability_key text NOT NULL,
    score       integer NOT NULL,
    comment     text NOT NULL,
    author_id   text NOT NULL,
    at          timestamptz NOT NULL
);
CREATE INDEX ability_assessment_person ON ability_assessment (person_id, at);
CREATE INDEX hearing_key ON hearing (key, transcript_id);
