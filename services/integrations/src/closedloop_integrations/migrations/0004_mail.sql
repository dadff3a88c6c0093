-- Mail in and out, as it was understood.
CREATE TABLE mail (
    id             uuid PRIMARY KEY,
    -- Of Message-ID, sender, date, subject and words: the same mail by two ways is one.
    digest         text NOT NULL CONSTRAINT mail_digest_key UNIQUE,
    direction      text NOT NULL,
    nature         text NOT NULL,
    message_id     text NOT NULL,
    thread_id      uuid NOT NULL,
    from_address   text NOT NULL,
    from_name      text NOT NULL,
    contact_id     uuid,
    -- [{"address", "name", "contact_id"}]
    recipients     jsonb NOT NULL,
    copies         jsonb NOT NULL,
    subject        text NOT NULL,
    text           text NOT NULL,
    signature      text NOT NULL,
    -- [{"name", "media_type", "size_bytes", "sha256"}]
    attachments    jsonb NOT NULL,
    sent_at        timestamptz,
    received_at    timestamptz NOT NULL,
    account_id     uuid,
    opportunity_id uuid,
    -- [{"id", "kind", "person_name", ...}]
    facts          jsonb NOT NULL,
    fact_kinds     text[] NOT NULL,
    language       text NOT NULL,
    delivery_id    uuid,
    mended         text[] NOT NULL,
    authentication text NOT NULL,
    source         text NOT NULL,
    source_id      text NOT NULL,
    brought_by     text NOT NULL,
    version        bigint NOT NULL DEFAULT 1
);
CREATE INDEX mail_received ON mail (received_at DESC, id DESC);
CREATE INDEX mail_thread ON mail (thread_id);
CREATE INDEX mail_account ON mail (account_id, received_at DESC);
CREATE INDEX mail_contact ON mail (contact_id) WHERE contact_id IS NOT NULL;
CREATE INDEX mail_message ON mail (message_id);
CREATE INDEX mail_unlinked ON mail (from_address) WHERE account_id IS NULL;
