-- The outside systems we have adapters for, and where polling them stands.
CREATE TABLE source (
    name            text PRIMARY KEY,
    kind            text NOT NULL,
    protocol        text NOT NULL,
    configured      boolean NOT NULL DEFAULT false,
    paused          boolean NOT NULL DEFAULT false,
    -- In a row.
    failures        integer NOT NULL DEFAULT 0,
    -- The circuit is open until retry_at, then lets one call through; both null: closed.
    opened_at       timestamptz,
    retry_at        timestamptz,
    last_success_at timestamptz,
    last_failure_at timestamptz,
    last_error      text NOT NULL DEFAULT '',
    -- Of the newest record taken in.
    newest_at       timestamptz,
    -- When the process that polls has read its secret.
    secret_at       timestamptz,
    -- Seconds of the last calls, newest first.
    durations       real[] NOT NULL DEFAULT '{}',
    version         bigint NOT NULL DEFAULT 1
);
INSERT INTO source (name, kind, protocol) VALUES
    ('procurement', 'procurement', 'http'),
    ('mail', 'mail_in', 'imap'),
    ('mail_out', 'mail_out', 'smtp'),
    ('wecom', 'wecom', 'http'),
    ('dingtalk', 'dingtalk', 'http'),
    ('erp', 'erp', 'http');

CREATE TABLE poll (
    source  text NOT NULL REFERENCES source,
    name    text NOT NULL,
    -- JSON of the poller's own.
    cursor  text NOT NULL DEFAULT '{}',
    last_at timestamptz,
    next_at timestamptz NOT NULL,
    read    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (source, name)
);

CREATE TABLE quarantine (
    id          uuid PRIMARY KEY,
    source      text NOT NULL,
    -- notice_row, notice_page, mail, erp_document
    kind        text NOT NULL,
    key         text NOT NULL,
    reason      text NOT NULL,
    message     text NOT NULL,
    raw         text NOT NULL,
    digest      bytea NOT NULL,
    created_at  timestamptz NOT NULL,
    resolved_at timestamptz,
    resolved_by text NOT NULL DEFAULT '',
    -- mended, retried, discarded
    resolution  text NOT NULL DEFAULT '',
    comment     text NOT NULL DEFAULT '',
    CONSTRAINT quarantine_item_key UNIQUE (source, kind, key, digest)
);
CREATE INDEX quarantine_open ON quarantine (id) WHERE resolved_at IS NULL;
CREATE INDEX quarantine_time ON quarantine (source, created_at);

-- What customers tell of accounts and contacts, and targets of products; never changed here.
CREATE TABLE account (
    id              uuid PRIMARY KEY,
    name            text NOT NULL,
    domains         text[] NOT NULL DEFAULT '{}',
    owner_id        text NOT NULL DEFAULT '',
    unit_id         text NOT NULL DEFAULT '',
    participant_ids text[] NOT NULL DEFAULT '{}',
    merged_into_id  uuid,
    version         bigint NOT NULL
);
-- Every name under which it may appear, normalised, and as written.
CREATE TABLE account_name (
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    key        text NOT NULL,
    name       text NOT NULL,
    -- Whether older notices have been searched for it.
    searched   boolean NOT NULL DEFAULT false,
    PRIMARY KEY (account_id, key)
);
CREATE INDEX account_name_key ON account_name (key);
-- What other systems call it.
CREATE TABLE account_code (
    source     text NOT NULL,
    code       text NOT NULL,
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    PRIMARY KEY (source, code, account_id)
);

CREATE TABLE contact (
    id              uuid PRIMARY KEY,
    account_id      uuid,
    name            text NOT NULL,
    addresses       text[] NOT NULL DEFAULT '{}',
    phones          text[] NOT NULL DEFAULT '{}',
    wechat_id       text NOT NULL DEFAULT '',
    language        text NOT NULL DEFAULT '',
    time_zone       text NOT NULL DEFAULT '',
    closed_channels text[] NOT NULL DEFAULT '{}',
    -- current, job_changed, left, merged, erased
    state           text NOT NULL,
    version         bigint NOT NULL
);
CREATE INDEX contact_addresses ON contact USING gin (addresses);
CREATE INDEX contact_account ON contact (account_id);

CREATE TABLE product (
    id      text PRIMARY KEY,
    name    text NOT NULL,
    -- Id, name and aliases, normalised.
    keys    text[] NOT NULL,
    version bigint NOT NULL
);
CREATE INDEX product_keys ON product USING gin (keys);
