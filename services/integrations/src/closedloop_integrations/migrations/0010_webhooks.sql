-- Customers' own systems that subscribe to our events; their secrets sign and are never shown again.
CREATE TABLE webhook_subscription (
    id                   uuid PRIMARY KEY,
    name                 text NOT NULL,
    url                  text NOT NULL,
    -- Full types, or prefixes ending in "*".
    event_types          text[] NOT NULL,
    unit_id              text NOT NULL,
    include_personal     boolean NOT NULL,
    -- active, paused, failing, deleted
    state                text NOT NULL,
    owner_id             text NOT NULL,
    created_at           timestamptz NOT NULL,
    secret               text NOT NULL,
    secret_at            timestamptz NOT NULL,
    -- Signs beside the new one until then.
    old_secret           text NOT NULL DEFAULT '',
    old_secret_until     timestamptz,
    last_success_at      timestamptz,
    consecutive_failures integer NOT NULL DEFAULT 0,
    -- Since the first of the failures in a row.
    failing_since        timestamptz,
    -- Nobody calls before.
    retry_at             timestamptz,
    -- Who delivers to it, and until when; real time.
    lease                uuid,
    leased_until         timestamptz,
    version              bigint NOT NULL DEFAULT 1
);
CREATE INDEX webhook_subscription_time ON webhook_subscription (created_at DESC, id DESC);

-- What each is owed, in the order it happened; kept after it was taken, for those who want it again.
CREATE TABLE webhook_message (
    seq             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription_id uuid NOT NULL REFERENCES webhook_subscription,
    event_id        uuid NOT NULL,
    type            text NOT NULL,
    subject         text NOT NULL,
    -- A CloudEvent in JSON, as it is sent.
    body            text NOT NULL,
    -- waiting, taken, given_up
    state           text NOT NULL DEFAULT 'waiting',
    attempts        integer NOT NULL DEFAULT 0,
    due_at          timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    CONSTRAINT webhook_message_key UNIQUE (subscription_id, event_id)
);
CREATE INDEX webhook_message_order ON webhook_message (subscription_id, subject, seq) WHERE state = 'waiting';
CREATE INDEX webhook_message_due ON webhook_message (subscription_id, seq) WHERE state = 'waiting';
CREATE INDEX webhook_message_time ON webhook_message (created_at);

CREATE TABLE webhook_attempt (
    id              uuid PRIMARY KEY,
    subscription_id uuid NOT NULL REFERENCES webhook_subscription,
    event_id        uuid NOT NULL,
    type            text NOT NULL,
    subject         text NOT NULL,
    attempt         integer NOT NULL,
    at              timestamptz NOT NULL,
    -- Of HTTP; 0 without an answer.
    status          integer NOT NULL,
    latency_ms      integer NOT NULL,
    answer          text NOT NULL,
    taken           boolean NOT NULL,
    next_at         timestamptz
);
CREATE INDEX webhook_attempt_time ON webhook_attempt (subscription_id, at DESC, id DESC);
CREATE INDEX webhook_attempt_age ON webhook_attempt (at);
