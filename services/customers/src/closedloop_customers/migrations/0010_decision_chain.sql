-- The buying group: what people know better than the data, who knows whom, what they mind; and the opportunities it is about.

CREATE TABLE decision_chain (
    account_id uuid PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    version    bigint NOT NULL
);

CREATE TABLE chain_member (
    account_id     uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    -- Empty: of the account as a whole.
    opportunity_id text NOT NULL DEFAULT '',
    contact_id     uuid NOT NULL REFERENCES contact ON DELETE CASCADE,
    -- Empty, null: computed.
    role           text NOT NULL DEFAULT '',
    stance         text NOT NULL DEFAULT '',
    influence      double precision,
    PRIMARY KEY (account_id, opportunity_id, contact_id)
);
CREATE INDEX chain_member_contact ON chain_member (contact_id);

-- One end is a contact of theirs or a person of ours: "contact:<id>", "person:<id>".
CREATE TABLE relation (
    id         uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    from_end   text NOT NULL,
    to_end     text NOT NULL,
    kind       text NOT NULL,
    strength   double precision NOT NULL,
    note       text NOT NULL DEFAULT '',
    provenance jsonb NOT NULL,
    renewed_at timestamptz NOT NULL,
    CONSTRAINT relation_key UNIQUE (from_end, to_end, kind)
);
CREATE INDEX relation_account ON relation (account_id);
CREATE INDEX relation_to ON relation (to_end);

CREATE TABLE concern (
    id             uuid PRIMARY KEY,
    account_id     uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    contact_id     uuid,
    opportunity_id uuid,
    kind           text NOT NULL,
    state          text NOT NULL CHECK (state IN ('open', 'answered', 'gone')),
    topic          text NOT NULL,
    text           text NOT NULL,
    quote          text NOT NULL DEFAULT '',
    stage          text NOT NULL DEFAULT '',
    severity       double precision NOT NULL,
    occurrences    integer NOT NULL DEFAULT 1,
    provenance     jsonb NOT NULL,
    -- Places it was heard in: the same place twice counts once.
    heard_in       text[] NOT NULL,
    raised_at      timestamptz NOT NULL,
    last_raised_at timestamptz NOT NULL,
    answer         text NOT NULL DEFAULT '',
    answered_at    timestamptz,
    version        bigint NOT NULL
);
-- One concern per person and topic that is not answered yet.
CREATE UNIQUE INDEX concern_open_key ON concern (account_id, coalesce(contact_id::text, ''), topic, kind) WHERE state = 'open';
CREATE INDEX concern_account ON concern (account_id, last_raised_at);
CREATE INDEX concern_contact ON concern (contact_id) WHERE contact_id IS NOT NULL;

-- Open deals as the funnel told them.
CREATE TABLE account_opportunity (
    opportunity_id uuid PRIMARY KEY,
    account_id     uuid NOT NULL,
    name           text NOT NULL,
    stage          text NOT NULL,
    open           boolean NOT NULL,
    closes_on      date,
    version        bigint NOT NULL
);
CREATE INDEX account_opportunity_account ON account_opportunity (account_id) WHERE open;
CREATE INDEX interaction_person ON interaction (contact_id, person_id) WHERE contact_id IS NOT NULL AND person_id <> '';
