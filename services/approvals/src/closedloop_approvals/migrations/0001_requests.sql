-- Matters that need signatures, the way of each through its steps, and the trail nobody can rewrite unseen.

CREATE TABLE approval_request (
    id               uuid PRIMARY KEY,
    origin           text NOT NULL,
    kind             text NOT NULL,
    subject_id       text NOT NULL,
    subject_version  bigint NOT NULL,
    digest           text NOT NULL,
    title            text NOT NULL,
    summary          text NOT NULL,
    opportunity_id   uuid,
    -- closedloop.approvals.v1.Facts as submitted.
    facts            jsonb NOT NULL,
    account_id       uuid,
    amount_minor     bigint,
    currency         text NOT NULL DEFAULT '',
    -- The amount in the policies' base currency, by the rate of the day.
    base_minor       bigint,
    discount_ratio   double precision,
    state            text NOT NULL CHECK (state IN ('pending', 'returned', 'approved', 'rejected', 'recalled', 'withdrawn')),
    submitter_id     text NOT NULL,
    opened_by        text NOT NULL,
    owner_id         text NOT NULL,
    unit_id          text NOT NULL,
    -- Everybody who was ever asked, added or named, besides submitter and owner.
    participants     text[] NOT NULL,
    reason           text NOT NULL,
    attachments      jsonb NOT NULL,
    -- closedloop.common.v1.RuleReference: the policies that made the route, and their names.
    rules            jsonb NOT NULL,
    policies         text[] NOT NULL,
    accumulated_ids  uuid[] NOT NULL,
    -- True: no policy asked for a signature.
    not_required     boolean NOT NULL DEFAULT false,
    -- How the time to decide runs, frozen with the route: a ClockSetting, and what its end brings.
    decision         jsonb NOT NULL,
    on_overdue       text NOT NULL,
    opened_at        timestamptz NOT NULL,
    due_at           timestamptz,
    closed_at        timestamptz,
    -- Since when somebody has been asked without a pause, and the time of the calendar before that.
    running_since    timestamptz,
    elapsed          interval NOT NULL DEFAULT '0',
    escalation_level integer NOT NULL DEFAULT 0,
    conditions       text NOT NULL DEFAULT '',
    decided_step     integer NOT NULL DEFAULT 0,
    decided_by       text NOT NULL DEFAULT '',
    decided_for      text NOT NULL DEFAULT '',
    provenance       jsonb NOT NULL,
    version          bigint NOT NULL,
    -- What the trail must be as long as, and end with.
    trail_length     bigint NOT NULL,
    trail_hash       text NOT NULL
);
-- One version of a subject is asked once, unless the submitter took it back undecided; and one version at a time.
CREATE UNIQUE INDEX approval_request_version_key ON approval_request (origin, kind, subject_id, subject_version)
    WHERE state <> 'recalled';
CREATE UNIQUE INDEX approval_request_open_key ON approval_request (origin, kind, subject_id) WHERE state IN ('pending', 'returned');
CREATE INDEX approval_request_opened ON approval_request (opened_at, id);
CREATE INDEX approval_request_owner ON approval_request (owner_id, opened_at);
CREATE INDEX approval_request_submitter ON approval_request (submitter_id, state);
CREATE INDEX approval_request_unit ON approval_request (unit_id, opened_at);
CREATE INDEX approval_request_account ON approval_request (account_id, kind, opened_at) WHERE account_id IS NOT NULL;
CREATE INDEX approval_request_opportunity ON approval_request (opportunity_id) WHERE opportunity_id IS NOT NULL;
CREATE INDEX approval_request_participants ON approval_request USING gin (participants);

CREATE TABLE approval_step (
    request_id     uuid NOT NULL REFERENCES approval_request (id),
    number         integer NOT NULL,
    name           text NOT NULL,
    mode           text NOT NULL,
    quorum         integer NOT NULL,
    parallel_group integer NOT NULL,
    rule           jsonb NOT NULL,
    started_at     timestamptz,
    ended_at       timestamptz,
    PRIMARY KEY (request_id, number)
);

-- A slot is one signature; several people may be able to give it: anyone of finance, or the one it escalated to.
CREATE TABLE approval_signer (
    request_id     uuid NOT NULL REFERENCES approval_request (id),
    step           integer NOT NULL,
    position       integer NOT NULL,
    person_id      text NOT NULL,
    slot           integer NOT NULL,
    -- The slot whose signer added this one, and the slot whose signature comes first; 0: none.
    added_to       integer NOT NULL,
    waits_for      integer NOT NULL,
    state          text NOT NULL,
    reason         text NOT NULL,
    signed_by      text NOT NULL,
    asked_at       timestamptz,
    answered_at    timestamptz,
    comment        text NOT NULL,
    from_person_id text NOT NULL,
    PRIMARY KEY (request_id, step, position)
);
CREATE INDEX approval_signer_asked ON approval_signer (person_id) WHERE state = 'asked';
CREATE INDEX approval_signer_person ON approval_signer (person_id, request_id);

-- `content` is the canonical text that was hashed, kept as it was so that no conversion can break the chain.
CREATE TABLE approval_trail (
    request_id    uuid NOT NULL REFERENCES approval_request (id),
    sequence      bigint NOT NULL,
    content       text NOT NULL,
    previous_hash text NOT NULL,
    hash          text NOT NULL,
    PRIMARY KEY (request_id, sequence)
);

CREATE FUNCTION approval_trail_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the trail is appended to, never changed';
END
$$;
CREATE TRIGGER approval_trail_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON approval_trail
    FOR EACH STATEMENT EXECUTE FUNCTION approval_trail_is_append_only();

-- The company's rates as targets tells them, to compare amounts with thresholds in one currency.
CREATE TABLE exchange_rate (
    base_currency  text NOT NULL,
    quote_currency text NOT NULL,
    start_date     date NOT NULL,
    rate           numeric NOT NULL CHECK (rate > 0),
    PRIMARY KEY (base_currency, quote_currency, start_date)
);
