-- Health of relationships, and what it is measured from besides touches, people and deals.

CREATE TABLE ticket (
    id          text PRIMARY KEY,
    account_id  uuid NOT NULL,
    contact_id  uuid,
    kind        text NOT NULL,
    state       text NOT NULL,
    title       text NOT NULL,
    opened_at   timestamptz NOT NULL,
    resolved_at timestamptz,
    version     bigint NOT NULL
);
CREATE INDEX ticket_account ON ticket (account_id);

-- What happened with accounts, told from outside or before our time; our own deals are in account_deal.
CREATE TABLE account_outcome (
    source       text NOT NULL,
    source_id    text NOT NULL,
    account_id   uuid NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('won', 'lost', 'churned', 'repurchased')),
    amount_minor bigint,
    currency     text NOT NULL DEFAULT '',
    happened_at  timestamptz NOT NULL,
    provenance   jsonb NOT NULL,
    CONSTRAINT account_outcome_key PRIMARY KEY (source, source_id)
);
CREATE INDEX account_outcome_account ON account_outcome (account_id, happened_at);

CREATE TABLE health (
    account_id   uuid PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    score        double precision NOT NULL,
    -- none, yellow, red
    light        text NOT NULL,
    -- In the order of the rulebook's dimensions of that version.
    measures     double precision[] NOT NULL,
    rule_version bigint NOT NULL,
    cause        text NOT NULL,
    evaluated_at timestamptz NOT NULL
);
CREATE INDEX health_score ON health (score, account_id);

-- One per day on which it changed.
CREATE TABLE health_point (
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    day        date NOT NULL,
    score      double precision NOT NULL,
    PRIMARY KEY (account_id, day)
);
