-- Leads: one life cycle each, and every inquiry that came in for it.

CREATE TABLE lead (
    id                  uuid PRIMARY KEY,
    profile             jsonb NOT NULL,
    industry            text GENERATED ALWAYS AS (coalesce(profile->>'industry', '')) STORED,
    region_code         text GENERATED ALWAYS AS (coalesce(profile->>'region_code', '')) STORED,
    campaign            text GENERATED ALWAYS AS (coalesce(profile->>'campaign', '')) STORED,
    -- Lower-case words of company, contact and need.
    search              text NOT NULL,
    stage               text NOT NULL CHECK (stage IN ('lead', 'contact', 'nurture', 'closed')),
    -- Stage it was closed from; it opens there again.
    closed_from         text NOT NULL DEFAULT '',
    outcome             text NOT NULL DEFAULT '',
    close_reason        text NOT NULL DEFAULT '',
    owner_id            text NOT NULL,
    unit_id             text NOT NULL,
    assignment_rule     jsonb,
    priority            smallint NOT NULL,
    account_id          uuid REFERENCES account,
    contact_id          uuid REFERENCES contact,
    opportunity_id      uuid,
    provenance          jsonb NOT NULL,
    source              text GENERATED ALWAYS AS (provenance->>'source') STORED,
    received_at         timestamptz NOT NULL,
    response_due_at     timestamptz,
    alarm_at            timestamptz,
    responded_at        timestamptz,
    -- In how far the first response was owed and kept.
    responded_in_time   boolean,
    escalation_level    smallint NOT NULL DEFAULT 0,
    -- none, yellow, red
    response_light      text NOT NULL DEFAULT 'none',
    last_interaction_at timestamptz,
    paused_until        timestamptz,
    pauses              smallint NOT NULL DEFAULT 0,
    converted_at        timestamptz,
    closed_at           timestamptz,
    merged_into_id      uuid REFERENCES lead,
    -- Old business that came with an import; no clock runs for it.
    historical          boolean NOT NULL DEFAULT false,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    version             bigint NOT NULL
);
CREATE INDEX lead_owner ON lead (owner_id, id);
CREATE INDEX lead_unit ON lead (unit_id, id);
CREATE INDEX lead_urgent ON lead (owner_id, response_due_at) WHERE stage <> 'closed';
CREATE INDEX lead_received ON lead (received_at);
CREATE INDEX lead_account ON lead (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX lead_opportunity ON lead (opportunity_id) WHERE opportunity_id IS NOT NULL;

-- Ways to answer an open lead; whoever asks again by one of them joins that lead. Rows go when the lead closes.
CREATE TABLE lead_key (
    key     text NOT NULL,
    lead_id uuid NOT NULL REFERENCES lead ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT lead_key_key PRIMARY KEY (key)
);
CREATE INDEX lead_key_lead ON lead_key (lead_id);

CREATE TABLE lead_submission (
    source      text NOT NULL,
    source_id   text NOT NULL,
    lead_id     uuid NOT NULL REFERENCES lead ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    provenance  jsonb NOT NULL,
    profile     jsonb NOT NULL,
    payload     jsonb,
    consents    jsonb NOT NULL DEFAULT '[]',
    received_at timestamptz NOT NULL,
    CONSTRAINT lead_submission_key PRIMARY KEY (source, source_id)
);
CREATE INDEX lead_submission_lead ON lead_submission (lead_id, received_at);

CREATE TABLE lead_transition (
    id         uuid PRIMARY KEY,
    lead_id    uuid NOT NULL REFERENCES lead ON DELETE CASCADE,
    from_stage text NOT NULL,
    to_stage   text NOT NULL,
    actor_id   text NOT NULL,
    cause      text NOT NULL,
    reason     text NOT NULL,
    time       timestamptz NOT NULL
);
CREATE INDEX lead_transition_lead ON lead_transition (lead_id, id);
