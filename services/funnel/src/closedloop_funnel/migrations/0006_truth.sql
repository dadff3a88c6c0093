-- What speaks against a log, and people's word on it.

ALTER TABLE activity ADD COLUMN checked_at timestamptz;
CREATE INDEX activity_unchecked ON activity (owner_id, at) WHERE checked_at IS NULL AND state = 'done';

CREATE TABLE finding (
    id           uuid PRIMARY KEY,
    version      bigint NOT NULL,
    kind         text NOT NULL,
    -- open, confirmed, dismissed
    state        text NOT NULL,
    activity_id  uuid NOT NULL REFERENCES activity,
    owner_id     text NOT NULL,
    unit_id      text NOT NULL,
    related_ids  uuid[] NOT NULL DEFAULT '{}',
    confidence   float8 NOT NULL,
    explanation  text NOT NULL,
    rule_version bigint NOT NULL,
    answer       text NOT NULL DEFAULT '',
    reviewer_id  text NOT NULL DEFAULT '',
    comment      text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL,
    reviewed_at  timestamptz
);
CREATE UNIQUE INDEX finding_activity ON finding (activity_id, kind);
CREATE INDEX finding_created ON finding (created_at DESC, id);
CREATE INDEX finding_owner ON finding (owner_id, created_at DESC);
