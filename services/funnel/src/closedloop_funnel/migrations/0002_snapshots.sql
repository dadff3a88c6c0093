-- The funnel as it stood. A snapshot numbers a moment; a deal's row holds from one number until another, and only a deal
-- that changed gets a new one, so that a quiet morning costs nothing.

CREATE TABLE snapshot (
    sequence       bigint PRIMARY KEY,
    id             uuid NOT NULL UNIQUE,
    taken_at       timestamptz NOT NULL,
    author_id      text NOT NULL,
    note           text NOT NULL DEFAULT '',
    open_count     bigint NOT NULL,
    open_minor     bigint NOT NULL,
    weighted_minor bigint NOT NULL
);
CREATE INDEX snapshot_taken ON snapshot (taken_at DESC, sequence DESC);

CREATE TABLE snapshot_deal (
    opportunity_id      uuid NOT NULL,
    from_sequence       bigint NOT NULL,
    -- First snapshot it no longer holds for.
    until_sequence      bigint,
    name                text NOT NULL,
    owner_id            text NOT NULL,
    unit_id             text NOT NULL,
    participant_ids     text[] NOT NULL,
    account_id          uuid,
    customer_type       text NOT NULL,
    product_ids         text[] NOT NULL,
    pipeline_id         text NOT NULL,
    stage_key           text NOT NULL,
    category            text NOT NULL,
    reporting_minor     bigint,
    probability         float8 NOT NULL,
    expected_close_date date,
    push_count          integer NOT NULL,
    stage_entered_at    timestamptz NOT NULL,
    PRIMARY KEY (opportunity_id, from_sequence)
);
CREATE UNIQUE INDEX snapshot_deal_latest ON snapshot_deal (opportunity_id) WHERE until_sequence IS NULL;
CREATE INDEX snapshot_deal_span ON snapshot_deal (until_sequence, from_sequence);
