-- What every service's database holds besides its own tables.

CREATE TABLE outbox (
    sequence    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id          uuid NOT NULL,
    type        text NOT NULL,
    subject     text NOT NULL,
    time        timestamptz NOT NULL,
    traceparent text NOT NULL DEFAULT '',
    data        bytea NOT NULL,
    -- Consumers that have not acknowledged it yet; the row goes when nobody is left.
    waiting     text[] NOT NULL,
    -- When it was last handed to the broker; null: not yet.
    told_at     timestamptz,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX outbox_untold ON outbox (sequence) WHERE told_at IS NULL;
CREATE INDEX outbox_told ON outbox (told_at) WHERE told_at IS NOT NULL;
CREATE UNIQUE INDEX outbox_id_key ON outbox (id);

CREATE TABLE inbox (
    id          uuid PRIMARY KEY,
    source      text NOT NULL,
    type        text NOT NULL,
    subject     text NOT NULL,
    sequence    bigint NOT NULL,
    time        timestamptz NOT NULL,
    traceparent text NOT NULL DEFAULT '',
    data        bytea NOT NULL,
    -- Events of one subject share a slot; one reactor at a time works on a slot, which keeps their order.
    slot        smallint NOT NULL,
    -- 0 pending, 1 applied, 2 parked
    state       smallint NOT NULL DEFAULT 0,
    attempts    integer NOT NULL DEFAULT 0,
    next_at     timestamptz,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_at  timestamptz,
    parked_at   timestamptz,
    error       text
);
CREATE INDEX inbox_pending ON inbox (slot, source, sequence) WHERE state = 0;
CREATE INDEX inbox_pending_subject ON inbox (subject, source, sequence) WHERE state = 0;
CREATE INDEX inbox_parked ON inbox (parked_at) WHERE state = 2;
CREATE INDEX inbox_applied ON inbox (applied_at) WHERE state = 1;

CREATE TABLE idempotency (
    caller       text NOT NULL,
    request_id   text NOT NULL,
    method       text NOT NULL,
    request_hash bytea NOT NULL,
    response     bytea NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (caller, request_id)
);
CREATE INDEX idempotency_age ON idempotency USING brin (created_at);

CREATE TABLE audit_entry (
    id              uuid PRIMARY KEY,
    time            timestamptz NOT NULL,
    actor_id        text NOT NULL,
    on_behalf_of    text NOT NULL DEFAULT '',
    cause           text NOT NULL,
    business_action text NOT NULL DEFAULT '',
    subject         text NOT NULL,
    action          text NOT NULL,
    changes         jsonb NOT NULL,
    trace_id        text NOT NULL DEFAULT ''
);
CREATE INDEX audit_entry_subject ON audit_entry (subject, id);
CREATE INDEX audit_entry_actor ON audit_entry (actor_id, id);

CREATE TABLE clock (
    id         uuid PRIMARY KEY,
    kind       text NOT NULL,
    subject    text NOT NULL,
    owner_id   text NOT NULL DEFAULT '',
    unit_id    text NOT NULL DEFAULT '',
    calendar   text NOT NULL,
    -- open, paused, met, breached, cancelled
    state      text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'paused', 'met', 'breached', 'cancelled')),
    level      smallint NOT NULL DEFAULT 0,
    budget     interval NOT NULL,
    started_at timestamptz NOT NULL,
    warn_at    timestamptz,
    due_at     timestamptz NOT NULL,
    -- The next moment at which something happens: warn_at, then due_at.
    next_at    timestamptz NOT NULL,
    -- Time of the calendar that was left when it was paused.
    remaining  interval,
    paused_at  timestamptz,
    ended_at   timestamptz,
    -- What it waited for happened, in time or late.
    answered_at timestamptz,
    attributes jsonb NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX clock_running_key ON clock (kind, subject) WHERE state IN ('open', 'paused');
CREATE INDEX clock_next ON clock (next_at) WHERE state = 'open';
CREATE INDEX clock_open_kind ON clock (kind, due_at) WHERE state = 'open';
CREATE INDEX clock_subject ON clock (subject);
-- Breached and still unanswered: answered late by `meet`.
CREATE INDEX clock_unanswered ON clock (kind, subject) WHERE state = 'breached' AND answered_at IS NULL;

CREATE TABLE rulebook (
    name         text NOT NULL,
    version      bigint NOT NULL,
    effective_at timestamptz NOT NULL,
    body         jsonb NOT NULL,
    author_id    text NOT NULL,
    reason       text NOT NULL,
    created_at   timestamptz NOT NULL,
    CONSTRAINT rulebook_key PRIMARY KEY (name, version)
);

-- The organisation: the truth in targets, a copy everywhere else.
CREATE TABLE org_unit (
    id            text PRIMARY KEY,
    parent_id     text NOT NULL DEFAULT '',
    name          text NOT NULL,
    -- company, region, area, team, department…
    kind          text NOT NULL,
    manager_id    text NOT NULL DEFAULT '',
    -- Inherited ones resolved.
    calendar      text NOT NULL DEFAULT '',
    time_zone     text NOT NULL DEFAULT '',
    currency_code text NOT NULL DEFAULT '',
    -- {"regions": [], "industries": [], "product_lines": []}
    territory     jsonb NOT NULL DEFAULT '{}',
    active        boolean NOT NULL DEFAULT true,
    version       bigint NOT NULL
);
CREATE TABLE org_person (
    id        text PRIMARY KEY,
    unit_id   text NOT NULL,
    name      text NOT NULL,
    title     text NOT NULL DEFAULT '',
    roles     text[] NOT NULL DEFAULT '{}',
    -- sales, finance, legal…
    function  text NOT NULL DEFAULT '',
    email     text NOT NULL DEFAULT '',
    mobile    text NOT NULL DEFAULT '',
    -- Names in outside systems: {"wecom": "zhangsan"}
    handles   jsonb NOT NULL DEFAULT '{}',
    time_zone text NOT NULL DEFAULT '',
    language  text NOT NULL DEFAULT '',
    territory jsonb NOT NULL DEFAULT '{}',
    active    boolean NOT NULL DEFAULT true,
    version   bigint NOT NULL
);

-- Counters of what processes hold in memory; each process looks once a second and reloads what moved.
CREATE TABLE memory_revision (
    name  text PRIMARY KEY,
    value bigint NOT NULL
);
INSERT INTO memory_revision VALUES ('org', 0), ('rulebook', 0);

-- Development mode only: how far this service's time was moved.
CREATE TABLE development_time (
    one       boolean PRIMARY KEY DEFAULT true CHECK (one),
    offset_us bigint NOT NULL
);
INSERT INTO development_time (offset_us) VALUES (0);
