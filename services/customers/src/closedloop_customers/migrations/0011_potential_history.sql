-- What was held of accounts, by people and computed, so that it can be held against what happened.

CREATE TABLE potential_label (
    account_id  uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    labelled_by text NOT NULL,
    labelled_at timestamptz NOT NULL,
    high        boolean NOT NULL,
    reason      text NOT NULL DEFAULT '',
    PRIMARY KEY (account_id, labelled_by, labelled_at)
);

CREATE TABLE potential_point (
    account_id      uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    evaluated_at    timestamptz NOT NULL,
    score           double precision NOT NULL,
    -- The same with tender data left out, its weight spread over the other dimensions.
    without_tenders double precision NOT NULL,
    PRIMARY KEY (account_id, evaluated_at)
);
