-- Dated standing-in for an absent colleague.

CREATE TABLE delegation (
    id             uuid PRIMARY KEY,
    delegator_id   text NOT NULL,
    delegate_id    text NOT NULL,
    starts_at      timestamptz NOT NULL,
    ends_at        timestamptz NOT NULL CHECK (ends_at >= starts_at),
    -- Both empty: everything.
    request_kinds  text[] NOT NULL,
    task_kinds     text[] NOT NULL,
    -- Requests above it stay with the delegator; null: no limit.
    limit_minor    bigint,
    limit_currency text NOT NULL DEFAULT '',
    reason         text NOT NULL,
    created_by     text NOT NULL,
    created_at     timestamptz NOT NULL,
    -- The unit of the delegator, for who may see it.
    unit_id        text NOT NULL,
    version        bigint NOT NULL
);
CREATE INDEX delegation_delegator ON delegation (delegator_id, starts_at);
CREATE INDEX delegation_delegate ON delegation (delegate_id, ends_at);
CREATE INDEX delegation_ends ON delegation (ends_at);
