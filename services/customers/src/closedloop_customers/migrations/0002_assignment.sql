-- Who holds which record, and what sellers can take.

CREATE TABLE assignment (
    id                uuid PRIMARY KEY,
    record_type       text NOT NULL CHECK (record_type IN ('account', 'lead')),
    record_id         uuid NOT NULL,
    -- Empty: the pool of the unit.
    owner_id          text NOT NULL,
    unit_id           text NOT NULL,
    previous_owner_id text NOT NULL DEFAULT '',
    method            text NOT NULL,
    rule              jsonb NOT NULL,
    reason            text NOT NULL DEFAULT '',
    candidates        jsonb NOT NULL DEFAULT '[]',
    assigned_by       text NOT NULL,
    assigned_at       timestamptz NOT NULL,
    ended_at          timestamptz,
    protected_until   timestamptz
);
-- Never two owners.
CREATE UNIQUE INDEX assignment_running_key ON assignment (record_type, record_id) WHERE ended_at IS NULL;
CREATE INDEX assignment_load ON assignment (owner_id, record_type) WHERE ended_at IS NULL;
CREATE INDEX assignment_record ON assignment (record_id, id);
CREATE INDEX assignment_owner ON assignment (owner_id, record_type, id);
CREATE INDEX assignment_unit ON assignment (unit_id, id);

CREATE TABLE seller (
    person_id       text PRIMARY KEY,
    -- SellerProfile of the contract.
    profile         jsonb NOT NULL DEFAULT '{}',
    suspended_at    timestamptz,
    suspend_reason  text NOT NULL DEFAULT '',
    -- Version of the funnel's breaker we have heard last.
    feed_version    bigint NOT NULL DEFAULT 0,
    priority_until  timestamptz,
    version         bigint NOT NULL DEFAULT 0
);

CREATE TABLE seller_leave (
    id          uuid PRIMARY KEY,
    person_id   text NOT NULL,
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL,
    stand_in_id text NOT NULL DEFAULT '',
    reason      text NOT NULL DEFAULT '',
    provenance  jsonb NOT NULL,
    source      text GENERATED ALWAYS AS (provenance->>'source') STORED,
    source_id   text GENERATED ALWAYS AS (provenance->>'source_id') STORED,
    CHECK (starts_at < ends_at),
    CONSTRAINT seller_leave_source_key UNIQUE (source, source_id)
);
CREATE INDEX seller_leave_person ON seller_leave (person_id, ends_at);

CREATE TABLE pool_entry (
    record_type   text NOT NULL,
    record_id     uuid NOT NULL,
    unit_id       text NOT NULL,
    reason        text NOT NULL,
    note          text NOT NULL DEFAULT '',
    last_owner_id text NOT NULL DEFAULT '',
    entered_at    timestamptz NOT NULL,
    CONSTRAINT pool_entry_key PRIMARY KEY (record_type, record_id)
);
CREATE INDEX pool_entry_unit ON pool_entry (unit_id, record_id);
