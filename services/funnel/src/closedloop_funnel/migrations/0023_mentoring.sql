-- Questions put to the mentors, and their answers.

CREATE TABLE question (
    id             uuid PRIMARY KEY,
    version        bigint NOT NULL,
    -- open, answered, accepted
    state          text NOT NULL,
    asker_id       text NOT NULL,
    unit_id        text NOT NULL,
    -- When it was asked; only then do answers earn.
    newcomer       boolean NOT NULL,
    title          text NOT NULL,
    text           text NOT NULL,
    opportunity_id uuid,
    ability_key    text NOT NULL DEFAULT '',
    asked_at       timestamptz NOT NULL
);
CREATE INDEX question_asked ON question (asked_at DESC, id);

CREATE TABLE answer (
    id          uuid PRIMARY KEY,
    question_id uuid NOT NULL REFERENCES question,
    mentor_id   text NOT NULL,
    text        text NOT NULL,
    article_ids uuid[] NOT NULL DEFAULT '{}',
    accepted    boolean NOT NULL DEFAULT false,
    points      bigint NOT NULL DEFAULT 0,
    at          timestamptz NOT NULL
);
CREATE INDEX answer_question ON answer (question_id, at);
CREATE INDEX answer_mentor ON answer (mentor_id, at DESC);
