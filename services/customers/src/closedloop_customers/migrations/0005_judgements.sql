-- Facts that wait for a person, and what we hold an account to be worth.

CREATE TABLE suggestion (
    id                 uuid PRIMARY KEY,
    record_type        text NOT NULL,
    record_id          uuid NOT NULL,
    account_id         uuid,
    kind               text NOT NULL,
    state              text NOT NULL,
    -- [{"field", "present", "proposed", "confirmed"}]
    changes            jsonb NOT NULL,
    summary            text NOT NULL,
    quote              text NOT NULL,
    provenance         jsonb NOT NULL,
    source             text NOT NULL,
    source_id          text NOT NULL,
    confidence         double precision NOT NULL,
    owner_id           text NOT NULL,
    unit_id            text NOT NULL,
    created_at         timestamptz NOT NULL,
    due_at             timestamptz NOT NULL,
    decided_by         text NOT NULL DEFAULT '',
    decided_at         timestamptz,
    decision_reason    text NOT NULL DEFAULT '',
    created_contact_id uuid,
    opportunity_point_id uuid,
    version            bigint NOT NULL,
    -- One fact of one source is one suggestion; the digest is of record, kind and proposed values.
    digest             text NOT NULL,
    CONSTRAINT suggestion_fact_key UNIQUE (source, source_id, digest)
);
CREATE INDEX suggestion_open ON suggestion (record_id) WHERE state = 'open';
CREATE INDEX suggestion_owner ON suggestion (owner_id, id);
CREATE INDEX suggestion_unit ON suggestion (unit_id, id);
CREATE INDEX suggestion_account ON suggestion (account_id, id);

CREATE TABLE opportunity_point (
    id              uuid PRIMARY KEY,
    account_id      uuid NOT NULL,
    contact_id      uuid,
    owner_id        text NOT NULL,
    unit_id         text NOT NULL,
    need            text NOT NULL,
    quote           text NOT NULL DEFAULT '',
    rule            jsonb NOT NULL,
    product_lines   text[] NOT NULL DEFAULT '{}',
    provenance      jsonb NOT NULL,
    state           text NOT NULL,
    created_at      timestamptz NOT NULL,
    due_at          timestamptz,
    decided_by      text NOT NULL DEFAULT '',
    decided_at      timestamptz,
    decision_reason text NOT NULL DEFAULT '',
    opportunity_id  uuid,
    version         bigint NOT NULL
);
CREATE INDEX opportunity_point_account ON opportunity_point (account_id, id);

CREATE TABLE tender_match (
    notice_id    text NOT NULL,
    account_id   uuid NOT NULL,
    title        text NOT NULL,
    buyer_name   text NOT NULL,
    keywords     text[] NOT NULL,
    sectors      text[] NOT NULL,
    amount_minor bigint,
    currency     text NOT NULL DEFAULT '',
    published_on date,
    url          text NOT NULL,
    confidence   double precision NOT NULL,
    -- found, doubtful, confirmed, rejected
    state        text NOT NULL,
    heard_at     timestamptz NOT NULL,
    version      bigint NOT NULL,
    PRIMARY KEY (account_id, notice_id)
);

CREATE TABLE potential (
    account_id     uuid PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    score          double precision NOT NULL,
    high           boolean NOT NULL,
    -- ScoreDimension of the contract, the largest contribution first.
    dimensions     jsonb NOT NULL,
    rule           jsonb NOT NULL,
    cause          text NOT NULL,
    evaluated_at   timestamptz NOT NULL,
    previous_score double precision
);
CREATE INDEX potential_score ON potential (score DESC, account_id);
