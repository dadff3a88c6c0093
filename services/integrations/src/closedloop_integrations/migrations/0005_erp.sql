-- Raw transactions of the ERP. What the source said stays as it came; what its codes mean here may be learned later.
CREATE TABLE erp_transaction (
    id               uuid PRIMARY KEY,
    source           text NOT NULL,
    source_id        text NOT NULL,
    version          integer NOT NULL,
    in_force         boolean NOT NULL,
    digest           text NOT NULL,
    kind             text NOT NULL,
    number           text NOT NULL,
    date             date NOT NULL,
    -- closedloop.integrations.v1.Transaction as it came, without our ids.
    document         bytea NOT NULL,
    amount_minor     bigint NOT NULL,
    currency         text NOT NULL,
    order_number     text NOT NULL,
    channel_code     text NOT NULL,
    account_code     text NOT NULL,
    -- Name the source gives the customer, normalised.
    account_name_key text NOT NULL,
    person_code      text NOT NULL,
    unit_code        text NOT NULL,
    product_codes    text[] NOT NULL,
    -- Found by the mappings.
    channel          text NOT NULL,
    account_id       uuid,
    person_id        text NOT NULL,
    unit_id          text NOT NULL,
    -- Of each product code, in the same order; '' where unknown.
    product_ids      text[] NOT NULL,
    owner_id         text NOT NULL,
    unmapped         boolean NOT NULL,
    opportunity_id   uuid,
    contract_id      uuid,
    -- Counts up with every telling of this document.
    told_version     bigint NOT NULL,
    brought_by       text NOT NULL,
    observed_at      timestamptz NOT NULL,
    created_at       timestamptz NOT NULL,
    CONSTRAINT erp_transaction_version_key UNIQUE (source, source_id, version)
);
CREATE UNIQUE INDEX erp_transaction_in_force_key ON erp_transaction (source, source_id) WHERE in_force;
CREATE INDEX erp_transaction_date ON erp_transaction (date DESC, id DESC);
CREATE INDEX erp_transaction_account ON erp_transaction (account_id, date DESC);
CREATE INDEX erp_transaction_number ON erp_transaction (number);
CREATE INDEX erp_transaction_account_code ON erp_transaction (source, account_code) WHERE in_force;
CREATE INDEX erp_transaction_unmapped ON erp_transaction (account_name_key) WHERE account_id IS NULL AND in_force;

CREATE TABLE code_mapping (
    source       text NOT NULL,
    -- account, person, unit, product, channel
    type         text NOT NULL,
    code         text NOT NULL,
    name         text NOT NULL DEFAULT '',
    target_id    text NOT NULL DEFAULT '',
    suggested_id text NOT NULL DEFAULT '',
    -- Documents that named it, all versions.
    uses         bigint NOT NULL DEFAULT 0,
    set_by       text NOT NULL DEFAULT '',
    set_at       timestamptz,
    PRIMARY KEY (source, type, code)
);
CREATE INDEX erp_transaction_products ON erp_transaction USING gin (product_codes);
CREATE INDEX erp_transaction_person_code ON erp_transaction (source, person_code) WHERE in_force AND person_code <> '';
CREATE INDEX erp_transaction_unit_code ON erp_transaction (source, unit_code) WHERE in_force AND unit_code <> '';
