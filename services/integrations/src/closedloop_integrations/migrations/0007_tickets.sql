-- Tickets as support last told them; whose they are may be learned later.
CREATE TABLE ticket (
    id              uuid PRIMARY KEY,
    source          text NOT NULL,
    source_id       text NOT NULL,
    number          text NOT NULL,
    -- question, defect, complaint, non_standard_need or nothing said
    kind            text NOT NULL,
    -- open, waiting, resolved, closed
    state           text NOT NULL,
    title           text NOT NULL,
    account_code    text NOT NULL,
    contact_address text NOT NULL,
    product_id      text NOT NULL,
    -- closedloop.integrations.v1.Ticket as it came.
    document        bytea NOT NULL,
    -- Found here, or said by the source.
    account_id      uuid,
    contact_id      uuid,
    opened_at       timestamptz NOT NULL,
    -- Of the source; what is not newer changes nothing.
    updated_at      timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    CONSTRAINT ticket_source_key UNIQUE (source, source_id)
);
CREATE INDEX ticket_opened ON ticket (opened_at DESC, id DESC);
CREATE INDEX ticket_account ON ticket (account_id, opened_at DESC);
CREATE INDEX ticket_contact ON ticket (contact_id);
CREATE INDEX ticket_waiting_code ON ticket (source, account_code) WHERE account_id IS NULL;
CREATE INDEX ticket_waiting_address ON ticket (contact_address) WHERE contact_id IS NULL AND contact_address <> '';
