-- Copies of what other services own; `version` is the owner's, older ones are ignored.

CREATE TABLE account (
    id                      uuid PRIMARY KEY,
    name                    text NOT NULL,
    industry                text NOT NULL DEFAULT '',
    customer_type           text NOT NULL DEFAULT '',
    region_code             text NOT NULL DEFAULT '',
    grade                   text NOT NULL DEFAULT '',
    -- prospect, customer, former, retired, merged
    status                  text NOT NULL DEFAULT '',
    account_owner_id        text NOT NULL DEFAULT '',
    account_unit_id         text NOT NULL DEFAULT '',
    account_participant_ids text[] NOT NULL DEFAULT '{}',
    merged_into_id          uuid,
    -- Id, names and aliases, case-folded: what imports may call it.
    words                   text[] NOT NULL DEFAULT '{}',
    version                 bigint NOT NULL
);
CREATE INDEX account_words ON account USING gin (words);

CREATE TABLE product (
    id            text PRIMARY KEY,
    name          text NOT NULL,
    line          text NOT NULL DEFAULT '',
    list_minor    bigint,
    list_currency text NOT NULL DEFAULT '',
    retired       boolean NOT NULL DEFAULT false,
    words         text[] NOT NULL DEFAULT '{}',
    version       bigint NOT NULL
);
CREATE INDEX product_words ON product USING gin (words);

CREATE TABLE exchange_rate (
    base_currency  text NOT NULL,
    quote_currency text NOT NULL,
    -- spot, plan, closing
    kind           text NOT NULL,
    start_date     date NOT NULL,
    rate           numeric NOT NULL,
    PRIMARY KEY (base_currency, quote_currency, kind, start_date)
);

CREATE TABLE opportunity (
    id                  uuid PRIMARY KEY,
    version             bigint NOT NULL,
    name                text NOT NULL,
    need                text NOT NULL DEFAULT '',
    owner_id            text NOT NULL,
    unit_id             text NOT NULL,
    source              text NOT NULL,
    source_id           text NOT NULL DEFAULT '',
    brought_by          text NOT NULL DEFAULT '',
    observed_at         timestamptz,
    imported            boolean NOT NULL DEFAULT false,
    -- SHA-256 of the row it was last imported from; an equal row changes nothing.
    import_digest       text NOT NULL DEFAULT '',
    pipeline_id         text NOT NULL,
    pipeline_version    bigint NOT NULL,
    stage_key           text NOT NULL,
    state               text NOT NULL CHECK (state IN ('open', 'won', 'lost')),
    -- Stage it was won or lost from.
    closed_from         text NOT NULL DEFAULT '',
    account_id          uuid,
    -- [{"product_id", "quantity", "unit_price_minor", "amount_minor", "currency"}]
    lines               jsonb NOT NULL DEFAULT '[]',
    product_ids         text[] NOT NULL DEFAULT '{}',
    amount_minor        bigint,
    currency            text NOT NULL DEFAULT '',
    reporting_minor     bigint,
    reporting_currency  text NOT NULL DEFAULT '',
    probability         float8 NOT NULL,
    -- pipeline, best_case, commit, closed, omitted
    category            text NOT NULL,
    category_set        boolean NOT NULL DEFAULT false,
    engage_date         date,
    expected_close_date date,
    close_date          date,
    push_count          integer NOT NULL DEFAULT 0,
    pushed_days         integer NOT NULL DEFAULT 0,
    reason_code         text NOT NULL DEFAULT '',
    reason_comment      text NOT NULL DEFAULT '',
    competitors         text[] NOT NULL DEFAULT '{}',
    -- {"person": "role"}
    participants        jsonb NOT NULL DEFAULT '{}',
    participant_ids     text[] NOT NULL DEFAULT '{}',
    move_count          integer NOT NULL,
    stage_entered_at    timestamptz NOT NULL,
    dwell_due_at        timestamptz,
    -- none, blue, yellow, red
    dwell_light         text NOT NULL DEFAULT 'none',
    review_id           uuid,
    repurchase          boolean NOT NULL DEFAULT false,
    lead_id             uuid,
    opportunity_point_id uuid,
    customer_type       text NOT NULL DEFAULT '',
    margin_ratio        float8,
    margin_version      bigint NOT NULL DEFAULT 0,
    custom_fields       jsonb NOT NULL DEFAULT '{}',
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    closed_at           timestamptz,
    last_activity_at    timestamptz
);
CREATE UNIQUE INDEX opportunity_provenance_key ON opportunity (source, source_id) WHERE source_id <> '';
CREATE INDEX opportunity_updated ON opportunity (updated_at DESC, id);
CREATE INDEX opportunity_owner ON opportunity (owner_id, updated_at DESC);
CREATE INDEX opportunity_unit ON opportunity (unit_id, updated_at DESC);
CREATE INDEX opportunity_account ON opportunity (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX opportunity_open ON opportunity (pipeline_id, stage_key) WHERE state = 'open';
CREATE INDEX opportunity_won ON opportunity (account_id, close_date) WHERE state = 'won';

CREATE TABLE close_date_change (
    opportunity_id uuid NOT NULL REFERENCES opportunity,
    at             timestamptz NOT NULL,
    from_date      date,
    to_date        date,
    author_id      text NOT NULL,
    reason         text NOT NULL DEFAULT ''
);
CREATE INDEX close_date_change_opportunity ON close_date_change (opportunity_id, at);

CREATE TABLE stage_evidence (
    id              uuid PRIMARY KEY,
    opportunity_id  uuid NOT NULL REFERENCES opportunity,
    requirement_key text NOT NULL,
    kind            text NOT NULL,
    note            text NOT NULL DEFAULT '',
    attachment_ids  uuid[] NOT NULL DEFAULT '{}',
    record_id       uuid,
    content         jsonb,
    author_id       text NOT NULL,
    at              timestamptz NOT NULL
);
CREATE INDEX stage_evidence_opportunity ON stage_evidence (opportunity_id, at);

CREATE TABLE stage_move (
    opportunity_id           uuid NOT NULL REFERENCES opportunity,
    sequence                 integer NOT NULL,
    from_stage_key           text NOT NULL,
    to_stage_key             text NOT NULL,
    at                       timestamptz NOT NULL,
    author_id                text NOT NULL,
    -- opened, forward, backward, won, lost, archived, reopened
    direction                text NOT NULL,
    -- In the stage it left: by the plain clock, and in days of the stage's calendar.
    dwell                    interval,
    dwell_days               float8,
    skipped_stage_keys       text[] NOT NULL DEFAULT '{}',
    skipped_requirement_keys text[] NOT NULL DEFAULT '{}',
    reason                   text NOT NULL DEFAULT '',
    evidence_ids             uuid[] NOT NULL DEFAULT '{}',
    pipeline_id              text NOT NULL,
    pipeline_version         bigint NOT NULL,
    imported                 boolean NOT NULL DEFAULT false,
    PRIMARY KEY (opportunity_id, sequence)
);
CREATE INDEX stage_move_at ON stage_move (at, opportunity_id, sequence);

CREATE TABLE activity (
    id                uuid PRIMARY KEY,
    version           bigint NOT NULL,
    kind              text NOT NULL,
    -- planned, done, cancelled; a planned one whose time has passed is missed
    state             text NOT NULL,
    owner_id          text NOT NULL,
    unit_id           text NOT NULL,
    source            text NOT NULL,
    source_id         text NOT NULL DEFAULT '',
    brought_by        text NOT NULL DEFAULT '',
    observed_at       timestamptz,
    account_id        uuid,
    opportunity_id    uuid,
    lead_id           uuid,
    contact_ids       uuid[] NOT NULL DEFAULT '{}',
    participant_ids   text[] NOT NULL DEFAULT '{}',
    subject           text NOT NULL DEFAULT '',
    planned_from      timestamptz,
    planned_to        timestamptz,
    started_at        timestamptz,
    ended_at          timestamptz,
    -- Start, or planned start while it is planned: what lists are ordered by.
    at                timestamptz NOT NULL,
    content           text NOT NULL DEFAULT '',
    attitude_before   text NOT NULL DEFAULT '',
    attitude_after    text NOT NULL DEFAULT '',
    next_step         text NOT NULL DEFAULT '',
    next_step_date    date,
    -- VisitEvidence and ActionPerformed of the contract, as JSON.
    visit             jsonb,
    actions           jsonb NOT NULL DEFAULT '[]',
    action_unit_keys  text[] NOT NULL DEFAULT '{}',
    script_version    text NOT NULL DEFAULT '',
    transcript_id     uuid,
    customer_feedback text NOT NULL DEFAULT '',
    -- unchecked, genuine, suspect, confirmed_false
    authenticity      text NOT NULL DEFAULT 'unchecked',
    effective         boolean NOT NULL DEFAULT false,
    after_close       boolean NOT NULL DEFAULT false,
    cancel_reason     text NOT NULL DEFAULT '',
    custom_fields     jsonb NOT NULL DEFAULT '{}',
    logged_at         timestamptz,
    updated_at        timestamptz NOT NULL
);
CREATE UNIQUE INDEX activity_provenance_key ON activity (source, source_id) WHERE source_id <> '';
CREATE INDEX activity_at ON activity (at DESC, id);
CREATE INDEX activity_owner ON activity (owner_id, at DESC);
CREATE INDEX activity_opportunity ON activity (opportunity_id, at DESC) WHERE opportunity_id IS NOT NULL;
CREATE INDEX activity_account ON activity (account_id, at DESC) WHERE account_id IS NOT NULL;

CREATE TABLE daily_log (
    person_id   text NOT NULL,
    day         date NOT NULL,
    unit_id     text NOT NULL,
    summary     text NOT NULL,
    plan        text NOT NULL DEFAULT '',
    help_needed text NOT NULL DEFAULT '',
    submitted_at timestamptz NOT NULL,
    PRIMARY KEY (person_id, day)
);

CREATE SEQUENCE quote_number;
CREATE SEQUENCE contract_number;

CREATE TABLE quote (
    id                uuid PRIMARY KEY,
    -- Counts changes; the etag, and the version of the subject in approvals.
    revision          bigint NOT NULL,
    opportunity_id    uuid NOT NULL REFERENCES opportunity,
    number            text NOT NULL,
    -- Of the offer, from 1; a later one is another row with the same number.
    version           integer NOT NULL,
    -- draft, submitted, sent_back, approved, refused, issued, accepted, declined, superseded
    state             text NOT NULL,
    -- [{"product_id", "description", "quantity", "list_price_minor", "discount_ratio", "amount_minor"}]
    lines             jsonb NOT NULL DEFAULT '[]',
    currency          text NOT NULL DEFAULT '',
    list_minor        bigint NOT NULL DEFAULT 0,
    total_minor       bigint NOT NULL DEFAULT 0,
    discount_ratio    float8 NOT NULL DEFAULT 0,
    valid_until       date,
    terms             text NOT NULL DEFAULT '',
    justification     text NOT NULL DEFAULT '',
    attachment_ids    uuid[] NOT NULL DEFAULT '{}',
    approval_id       text NOT NULL DEFAULT '',
    -- pending, approved, refused, sent_back, withdrawn; empty before the first submission
    approval_state    text NOT NULL DEFAULT '',
    approval_due_at   timestamptz,
    decided_at        timestamptz,
    decider_ids       text[] NOT NULL DEFAULT '{}',
    approval_comment  text NOT NULL DEFAULT '',
    content_digest    text NOT NULL DEFAULT '',
    submitted_revision bigint NOT NULL DEFAULT 0,
    submitted_at      timestamptz,
    issued_at         timestamptz,
    answered_at       timestamptz,
    answer_comment    text NOT NULL DEFAULT '',
    custom_fields     jsonb NOT NULL DEFAULT '{}',
    author_id         text NOT NULL,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL
);
CREATE UNIQUE INDEX quote_number_key ON quote (number, version);
CREATE INDEX quote_opportunity ON quote (opportunity_id);
CREATE INDEX quote_created ON quote (created_at DESC, id);

CREATE TABLE contract (
    id                uuid PRIMARY KEY,
    revision          bigint NOT NULL,
    opportunity_id    uuid NOT NULL REFERENCES opportunity,
    quote_id          uuid REFERENCES quote,
    owner_id          text NOT NULL,
    unit_id           text NOT NULL,
    number            text NOT NULL,
    title             text NOT NULL,
    -- draft, submitted, sent_back, approved, refused, signed, archived
    state             text NOT NULL,
    amount_minor      bigint NOT NULL,
    currency          text NOT NULL,
    -- [{"key", "title", "text", "deviates"}]
    clauses           jsonb NOT NULL DEFAULT '[]',
    effective_date    date,
    end_date          date,
    sign_date         date,
    signer_name       text NOT NULL DEFAULT '',
    archive_location  text NOT NULL DEFAULT '',
    attachment_ids    uuid[] NOT NULL DEFAULT '{}',
    approval_id       text NOT NULL DEFAULT '',
    approval_state    text NOT NULL DEFAULT '',
    approval_due_at   timestamptz,
    decided_at        timestamptz,
    decider_ids       text[] NOT NULL DEFAULT '{}',
    approval_comment  text NOT NULL DEFAULT '',
    content_digest    text NOT NULL DEFAULT '',
    submitted_revision bigint NOT NULL DEFAULT 0,
    submitted_at      timestamptz,
    custom_fields     jsonb NOT NULL DEFAULT '{}',
    author_id         text NOT NULL,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL
);
CREATE UNIQUE INDEX contract_number_key ON contract (number);
CREATE INDEX contract_opportunity ON contract (opportunity_id);
CREATE INDEX contract_created ON contract (created_at DESC, id);
