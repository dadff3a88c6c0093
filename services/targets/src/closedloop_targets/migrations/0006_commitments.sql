-- What people promised for a fortnight. Proposals are cells of the version in force and stand nowhere else.
CREATE TABLE commitment (
    id         uuid PRIMARY KEY,
    owner_id   text NOT NULL,
    unit_id    text NOT NULL,
    metric     text NOT NULL,
    -- Code of the fortnight with its days.
    period     text NOT NULL,
    start_date date NOT NULL,
    end_date   date NOT NULL,
    minor      bigint NOT NULL,
    currency   text NOT NULL,
    note       text NOT NULL,
    -- Every value so far, oldest first: minor, author_id, time, note.
    changes    jsonb NOT NULL,
    version    bigint NOT NULL,
    UNIQUE (owner_id, metric, period)
);
CREATE INDEX commitment_days ON commitment (start_date DESC, owner_id);
