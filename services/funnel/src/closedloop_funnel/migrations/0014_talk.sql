-- Conversations and what was heard in them.

CREATE TABLE transcript (
    id              uuid PRIMARY KEY,
    owner_id        text NOT NULL,
    unit_id         text NOT NULL,
    source          text NOT NULL,
    source_id       text NOT NULL DEFAULT '',
    brought_by      text NOT NULL,
    -- Counts up in the source; an older one changes nothing.
    source_version  bigint NOT NULL DEFAULT 0,
    -- call, meeting, chat, visit
    channel         text NOT NULL,
    account_id      uuid,
    opportunity_id  uuid,
    activity_id     uuid,
    contact_ids     uuid[] NOT NULL DEFAULT '{}',
    started_at      timestamptz NOT NULL,
    length_ms       bigint NOT NULL,
    language        text NOT NULL,
    -- [{"side", "speaker", "start_ms", "end_ms", "text"}]
    utterances      jsonb NOT NULL,
    intent          float8 NOT NULL,
    intent_change   float8 NOT NULL,
    churn           float8 NOT NULL,
    -- none, yellow, red
    churn_light     text NOT NULL,
    seller_share    float8 NOT NULL,
    rule_version    bigint NOT NULL,
    -- Phrases whose patterns the time limit cut short.
    late            text[] NOT NULL DEFAULT '{}',
    created_at      timestamptz NOT NULL
);
CREATE UNIQUE INDEX transcript_provenance_key ON transcript (source, source_id) WHERE source_id <> '';
CREATE INDEX transcript_started ON transcript (started_at DESC, id);
CREATE INDEX transcript_owner ON transcript (owner_id, started_at DESC);
CREATE INDEX transcript_account ON transcript (account_id, started_at) WHERE account_id IS NOT NULL;
CREATE INDEX transcript_opportunity ON transcript (opportunity_id, started_at) WHERE opportunity_id IS NOT NULL;

CREATE TABLE hearing (
    id              uuid PRIMARY KEY,
    transcript_id   uuid NOT NULL REFERENCES transcript,
    -- keyword, objection, risk, churn
    kind            text NOT NULL,
    key             text NOT NULL,
    name            text NOT NULL,
    sentence        text NOT NULL,
    utterance_index integer NOT NULL,
    offset_ms       bigint NOT NULL,
    confidence      float8 NOT NULL,
    suggested_reply text NOT NULL DEFAULT '',
    -- open, right, wrong
    review          text NOT NULL DEFAULT 'open',
    reviewer_id     text NOT NULL DEFAULT '',
    corrected_key   text NOT NULL DEFAULT ''
);
CREATE INDEX hearing_transcript ON hearing (transcript_id, utterance_index);
