-- Touches with customers, and what we do when there are none.

CREATE TABLE interaction (
    id             uuid PRIMARY KEY,
    account_id     uuid,
    contact_id     uuid,
    lead_id        uuid,
    opportunity_id uuid,
    channel        text NOT NULL,
    direction      text NOT NULL,
    action         text NOT NULL DEFAULT '',
    occurred_at    timestamptz NOT NULL,
    duration       interval,
    person_id      text NOT NULL DEFAULT '',
    summary        text NOT NULL DEFAULT '',
    product_ids    text[] NOT NULL DEFAULT '{}',
    effective      boolean NOT NULL,
    rule           jsonb NOT NULL,
    provenance     jsonb NOT NULL,
    source         text NOT NULL,
    source_id      text NOT NULL,
    -- Of the event that told it; 0 for what was recorded here.
    version        bigint NOT NULL DEFAULT 0,
    CONSTRAINT interaction_source_key UNIQUE (source, source_id)
);
CREATE INDEX interaction_account ON interaction (account_id, occurred_at DESC, id) WHERE account_id IS NOT NULL;
CREATE INDEX interaction_contact ON interaction (contact_id, occurred_at DESC, id) WHERE contact_id IS NOT NULL;
CREATE INDEX interaction_lead ON interaction (lead_id, occurred_at DESC, id) WHERE lead_id IS NOT NULL;

CREATE TABLE wake_up (
    id                  uuid PRIMARY KEY,
    record_type         text NOT NULL CHECK (record_type IN ('account', 'lead')),
    record_id           uuid NOT NULL,
    contact_id          uuid,
    owner_id            text NOT NULL,
    unit_id             text NOT NULL,
    state               text NOT NULL,
    topic               text NOT NULL,
    control             boolean NOT NULL,
    behaviours          jsonb NOT NULL,
    rule                jsonb NOT NULL,
    last_interaction_at timestamptz,
    started_at          timestamptz NOT NULL,
    next_message_at     timestamptz,
    ended_at            timestamptz,
    end_reason          text NOT NULL DEFAULT '',
    -- Whom and how to write to, fixed at the start: name, zone, language, topic fields.
    plan                jsonb NOT NULL,
    version             bigint NOT NULL
);
CREATE UNIQUE INDEX wake_up_running_key ON wake_up (record_type, record_id) WHERE state = 'running';
CREATE INDEX wake_up_owner ON wake_up (owner_id, id);
CREATE INDEX wake_up_unit ON wake_up (unit_id, id);
CREATE INDEX wake_up_record ON wake_up (record_id, started_at);

CREATE TABLE wake_up_message (
    wake_up_id   uuid NOT NULL REFERENCES wake_up ON DELETE CASCADE,
    -- 0 for the first.
    step         smallint NOT NULL,
    dedupe_key   text NOT NULL,
    channel      text NOT NULL,
    template     text NOT NULL,
    subject_line text NOT NULL,
    body         text NOT NULL,
    sent_at      timestamptz,
    delivered_at timestamptz,
    opened_at    timestamptz,
    clicked_at   timestamptz,
    replied_at   timestamptz,
    failure      text NOT NULL DEFAULT '',
    PRIMARY KEY (wake_up_id, step)
);
CREATE UNIQUE INDEX wake_up_message_dedupe_key ON wake_up_message (dedupe_key);
