-- Messages that leave the house, and their lives.
CREATE TABLE delivery (
    id             uuid PRIMARY KEY,
    dedupe_key     text NOT NULL,
    recipient_key  text NOT NULL,
    -- closedloop.integrations.v1.DeliveryContent, as it was asked for.
    content        bytea NOT NULL,
    origin         text NOT NULL,
    purpose        text NOT NULL,
    topic          text NOT NULL DEFAULT '',
    experiment     text NOT NULL DEFAULT '',
    channel        text NOT NULL DEFAULT '',
    -- Where on the channel: a mail address, a name to mention.
    address        text NOT NULL DEFAULT '',
    robot          text NOT NULL DEFAULT '',
    recipient_name text NOT NULL DEFAULT '',
    sender_name    text NOT NULL DEFAULT '',
    subject        text NOT NULL DEFAULT '',
    text           text NOT NULL DEFAULT '',
    person_id      text NOT NULL DEFAULT '',
    contact_id     uuid,
    account_id     uuid,
    subject_type   text NOT NULL DEFAULT '',
    subject_id     text NOT NULL DEFAULT '',
    owner_id       text NOT NULL DEFAULT '',
    unit_id        text NOT NULL DEFAULT '',
    -- The contract's states, and `sending`: claimed by a courier, whose answer is awaited until leased_until.
    state          text NOT NULL,
    reason         text NOT NULL DEFAULT '',
    rule_version   bigint NOT NULL DEFAULT 0,
    rule           text NOT NULL DEFAULT '',
    explanation    text NOT NULL DEFAULT '',
    attempts       integer NOT NULL DEFAULT 0,
    message_id     text NOT NULL DEFAULT '',
    in_reply_to    text NOT NULL DEFAULT '',
    references_    text NOT NULL DEFAULT '',
    gateway_id     text NOT NULL DEFAULT '',
    requested_at   timestamptz NOT NULL,
    due_at         timestamptz NOT NULL,
    expires_at     timestamptz,
    leased_until   timestamptz,
    sent_at        timestamptz,
    ended_at       timestamptz,
    version        bigint NOT NULL DEFAULT 1,
    CONSTRAINT delivery_dedupe_key UNIQUE (dedupe_key, recipient_key)
);
CREATE INDEX delivery_due ON delivery (channel, due_at) WHERE state IN ('queued', 'held');
CREATE INDEX delivery_leased ON delivery (leased_until) WHERE state = 'sending';
CREATE INDEX delivery_message ON delivery (message_id) WHERE message_id <> '';
CREATE INDEX delivery_address ON delivery (address, requested_at);
CREATE INDEX delivery_requested ON delivery (requested_at DESC, id DESC);
CREATE INDEX delivery_contact ON delivery (contact_id) WHERE contact_id IS NOT NULL;
CREATE INDEX delivery_account ON delivery (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX delivery_subject ON delivery (subject_id) WHERE subject_id <> '';

CREATE TABLE delivery_step (
    delivery_id uuid NOT NULL REFERENCES delivery,
    sequence    bigint GENERATED ALWAYS AS IDENTITY,
    at          timestamptz NOT NULL,
    state       text NOT NULL,
    detail      text NOT NULL DEFAULT '',
    PRIMARY KEY (delivery_id, sequence)
);

-- Who may be written to; the newest entry of an address or contact, channel and topic counts.
CREATE TABLE consent (
    id            uuid PRIMARY KEY,
    address       text NOT NULL DEFAULT '',
    contact_id    uuid,
    -- Empty: every channel, every topic.
    channel       text NOT NULL DEFAULT '',
    topic         text NOT NULL DEFAULT '',
    allowed       boolean NOT NULL,
    cause         text NOT NULL,
    at            timestamptz NOT NULL,
    source        text NOT NULL,
    source_id     text NOT NULL,
    brought_by    text NOT NULL,
    superseded_at timestamptz
);
CREATE UNIQUE INDEX consent_current_key
    ON consent (address, coalesce(contact_id, '00000000-0000-0000-0000-000000000000'), channel, topic)
 WHERE superseded_at IS NULL;
CREATE INDEX consent_contact ON consent (contact_id) WHERE contact_id IS NOT NULL;
