-- Biweekly review packs (S7). What was prepared stands as it was shown; what people write in it are rows of their own.
CREATE TABLE review_pack (
    id          uuid PRIMARY KEY,
    -- The unit reviewed and who leads it.
    unit_id     text NOT NULL,
    owner_id    text NOT NULL,
    period      text NOT NULL,
    start_date  date NOT NULL,
    end_date    date NOT NULL,
    state       text NOT NULL CHECK (state IN ('prepared', 'in_review', 'closed')),
    -- The contract's ReviewPack with progress and alarms alone.
    data        bytea NOT NULL,
    minutes     text NOT NULL DEFAULT '',
    prepared_at timestamptz NOT NULL,
    closed_at   timestamptz,
    version     bigint NOT NULL DEFAULT 1,
    UNIQUE (unit_id, start_date)
);
CREATE INDEX review_pack_newest ON review_pack (start_date DESC, id);

-- The contract's Deviation and ranked causes as they were prepared, and the cause people confirm.
CREATE TABLE review_deviation (
    pack_id         uuid NOT NULL REFERENCES review_pack,
    position        integer NOT NULL,
    holder_kind     text NOT NULL,
    holder_id       text NOT NULL,
    metric          text NOT NULL,
    data            bytea NOT NULL,
    -- Of whoever missed; empty where nothing was ranked.
    ranked_cause    text NOT NULL,
    confirmed_cause text NOT NULL DEFAULT '',
    comment         text NOT NULL DEFAULT '',
    confirmed_by    text NOT NULL DEFAULT '',
    confirmed_at    timestamptz,
    PRIMARY KEY (pack_id, holder_kind, holder_id, metric)
);
-- Proposals and decisions, in the order in which they were written.
CREATE TABLE review_note (
    id              uuid PRIMARY KEY,
    pack_id         uuid NOT NULL REFERENCES review_pack,
    kind            text NOT NULL CHECK (kind IN ('strategy', 'resource', 'target', 'decision')),
    text            text NOT NULL,
    expected_effect text NOT NULL,
    -- "system" where the system proposes.
    author_id       text NOT NULL,
    written_at      timestamptz NOT NULL
);
CREATE INDEX review_note_pack ON review_note (pack_id, id);
CREATE TABLE review_follow_up (
    id          uuid PRIMARY KEY,
    pack_id     uuid NOT NULL REFERENCES review_pack,
    title       text NOT NULL,
    details     text NOT NULL,
    assignee_id text NOT NULL,
    due_date    date NOT NULL,
    -- What approvals told of its task.
    task_id     text NOT NULL DEFAULT '',
    task_state  text NOT NULL
);
CREATE INDEX review_follow_up_pack ON review_follow_up (pack_id, id);
