-- Accounts and contacts. A profile is what people wrote, field by field as in the contract; what is searched by is generated from it.

CREATE TABLE account (
    id                  uuid PRIMARY KEY,
    profile             jsonb NOT NULL,
    name                text GENERATED ALWAYS AS (profile->>'name') STORED NOT NULL,
    industry            text GENERATED ALWAYS AS (coalesce(profile->>'industry', '')) STORED,
    region_code         text GENERATED ALWAYS AS (coalesce(profile->>'region_code', '')) STORED,
    parent_account_id   uuid GENERATED ALWAYS AS (CAST(profile->>'parent_account_id' AS uuid)) STORED,
    -- Lower-case words of name, aliases, credit code and domains.
    search              text NOT NULL,
    status              text NOT NULL CHECK (status IN ('prospect', 'customer', 'former', 'retired', 'merged')),
    -- Empty: in the pool of the unit.
    owner_id            text NOT NULL,
    unit_id             text NOT NULL,
    participant_ids     text[] NOT NULL DEFAULT '{}',
    grade               text NOT NULL DEFAULT '',
    -- none, yellow, red
    quality_light       text NOT NULL DEFAULT 'none',
    high_potential      boolean NOT NULL DEFAULT false,
    provenances         jsonb NOT NULL,
    last_interaction_at timestamptz,
    last_verify_at      timestamptz NOT NULL,
    merged_into_id      uuid REFERENCES account,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    version             bigint NOT NULL
);
CREATE INDEX account_owner ON account (owner_id, id);
CREATE INDEX account_unit ON account (unit_id, id);
CREATE INDEX account_updated ON account (updated_at);
CREATE INDEX account_parent ON account (parent_account_id) WHERE parent_account_id IS NOT NULL;
CREATE INDEX account_place ON account (region_code, industry);
CREATE INDEX account_participants ON account USING gin (participant_ids) WHERE participant_ids <> '{}';

-- By what an account is found again: "credit:…", "name:…", "domain:…", "phone:…".
CREATE TABLE account_key (
    key        text NOT NULL,
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    PRIMARY KEY (key, account_id)
);
CREATE INDEX account_key_account ON account_key (account_id);

CREATE TABLE account_provenance (
    source     text NOT NULL,
    source_id  text NOT NULL,
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    CONSTRAINT account_provenance_key PRIMARY KEY (source, source_id)
);
CREATE INDEX account_provenance_account ON account_provenance (account_id);

-- Deals as the funnel told them: what an account bought, when, and which neighbours succeeded.
CREATE TABLE account_deal (
    opportunity_id uuid PRIMARY KEY,
    account_id     uuid,
    state          text NOT NULL CHECK (state IN ('won', 'lost', 'reopened')),
    amount_minor   bigint NOT NULL,
    currency       text NOT NULL,
    closed_on      date NOT NULL,
    product_ids    text[] NOT NULL DEFAULT '{}',
    version        bigint NOT NULL
);
CREATE INDEX account_deal_account ON account_deal (account_id, closed_on);

CREATE TABLE contact (
    id                  uuid PRIMARY KEY,
    account_id          uuid NOT NULL REFERENCES account,
    profile             jsonb NOT NULL,
    name                text GENERATED ALWAYS AS (profile->>'name') STORED NOT NULL,
    key_contact         boolean GENERATED ALWAYS AS (coalesce(CAST(profile->>'key_contact' AS boolean), false)) STORED,
    -- Lower-case name, then mail addresses and phones, blank between.
    search              text NOT NULL,
    state               text NOT NULL CHECK (state IN ('current', 'job_changed', 'left', 'merged', 'erased')),
    -- Present one first, as in the contract.
    employments         jsonb NOT NULL DEFAULT '[]',
    closed_channels     text[] NOT NULL DEFAULT '{}',
    provenances         jsonb NOT NULL,
    last_interaction_at timestamptz,
    last_verify_at      timestamptz NOT NULL,
    merged_into_id      uuid REFERENCES contact,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    version             bigint NOT NULL
);
CREATE INDEX contact_account ON contact (account_id, id);
CREATE INDEX contact_updated ON contact (updated_at);

-- "phone:…", "mail:…", "wechat:…"
CREATE TABLE contact_key (
    key        text NOT NULL,
    contact_id uuid NOT NULL REFERENCES contact ON DELETE CASCADE,
    PRIMARY KEY (key, contact_id)
);
CREATE INDEX contact_key_contact ON contact_key (contact_id);

CREATE TABLE contact_provenance (
    source     text NOT NULL,
    source_id  text NOT NULL,
    contact_id uuid NOT NULL REFERENCES contact ON DELETE CASCADE,
    CONSTRAINT contact_provenance_key PRIMARY KEY (source, source_id)
);
CREATE INDEX contact_provenance_contact ON contact_provenance (contact_id);

-- Opt-outs by contact or bare address ("mail:…", "phone:…"); the newest telling of an (address, channel, topic) holds.
CREATE TABLE opt_out (
    address    text NOT NULL,
    -- Empty: every channel, every topic.
    channel    text NOT NULL DEFAULT '',
    topic      text NOT NULL DEFAULT '',
    contact_id uuid,
    allowed    boolean NOT NULL,
    cause      text NOT NULL,
    told_at    timestamptz NOT NULL,
    PRIMARY KEY (address, channel, topic)
);
CREATE INDEX opt_out_contact ON opt_out (contact_id) WHERE contact_id IS NOT NULL;

-- Products as targets told them.
CREATE TABLE product (
    id         text PRIMARY KEY,
    name       text NOT NULL,
    line       text NOT NULL,
    stage      text NOT NULL,
    retired    boolean NOT NULL,
    -- When its last telling reached us: "a product you watched was updated".
    changed_at timestamptz NOT NULL,
    version    bigint NOT NULL
);
