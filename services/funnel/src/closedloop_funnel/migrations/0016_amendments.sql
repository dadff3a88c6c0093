-- How a log was worded before it was corrected.

CREATE TABLE activity_amendment (
    activity_id uuid NOT NULL REFERENCES activity,
    -- The version that this correction made.
    version     bigint NOT NULL,
    at          timestamptz NOT NULL,
    author_id   text NOT NULL,
    reason      text NOT NULL,
    -- The fields that changed, as they were.
    earlier     jsonb NOT NULL,
    PRIMARY KEY (activity_id, version)
);
