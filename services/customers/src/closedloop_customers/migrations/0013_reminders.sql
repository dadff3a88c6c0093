-- Agreed dates. The owner is the record's own, at every moment; the notices are sent once per agreed day.

CREATE TABLE reminder (
    id           uuid PRIMARY KEY,
    record_type  text NOT NULL CHECK (record_type IN ('account', 'contact', 'lead')),
    record_id    uuid NOT NULL,
    title        text NOT NULL,
    agreed_on    date NOT NULL,
    -- On the wall clock of the zone; null: some time that day.
    agreed_at    time,
    time_zone    text NOT NULL,
    state        text NOT NULL CHECK (state IN ('open', 'kept', 'cancelled', 'missed')),
    provenance   jsonb NOT NULL,
    source       text GENERATED ALWAYS AS (provenance->>'source') STORED,
    source_id    text GENERATED ALWAYS AS (provenance->>'source_id') STORED,
    -- Of the event that told it; 0 for what was agreed here.
    feed_version bigint NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    end_note     text NOT NULL DEFAULT '',
    version      bigint NOT NULL,
    CONSTRAINT reminder_source_key UNIQUE (source, source_id)
);
CREATE INDEX reminder_record ON reminder (record_id, agreed_on);
CREATE INDEX reminder_agreed ON reminder (agreed_on, id);

CREATE TABLE reminder_notice (
    reminder_id uuid NOT NULL REFERENCES reminder ON DELETE CASCADE,
    agreed_on   date NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('day_before', 'that_morning')),
    plan_at     timestamptz NOT NULL,
    sent_at     timestamptz,
    skip_reason text NOT NULL DEFAULT '',
    PRIMARY KEY (reminder_id, agreed_on, kind)
);
