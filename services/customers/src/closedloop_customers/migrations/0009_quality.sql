-- What makes a record doubtful, and who worked it off.

CREATE TABLE finding (
    id              uuid PRIMARY KEY,
    record_type     text NOT NULL,
    record_id       uuid NOT NULL,
    account_id      uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    kind            text NOT NULL,
    state           text NOT NULL CHECK (state IN ('open', 'postponed', 'resolved')),
    light           text NOT NULL,
    fields          text[] NOT NULL,
    rule            jsonb NOT NULL,
    since_at        timestamptz NOT NULL,
    -- A task was asked of the supervisor.
    tasked          boolean NOT NULL,
    postponed_until timestamptz,
    resolved_by     text NOT NULL DEFAULT '',
    resolved_at     timestamptz,
    business_action text NOT NULL DEFAULT '',
    note            text NOT NULL DEFAULT '',
    version         bigint NOT NULL
);
CREATE UNIQUE INDEX finding_open_key ON finding (record_id, kind) WHERE state IN ('open', 'postponed');
CREATE INDEX finding_account ON finding (account_id, since_at);
CREATE INDEX finding_list ON finding (state, light, since_at);
CREATE INDEX account_verified ON account (last_verify_at) WHERE status NOT IN ('merged', 'retired');
