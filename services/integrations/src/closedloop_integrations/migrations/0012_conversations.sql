-- How people are reached, so that one number written in two ways is one: "+86 138 0013 8000" is "13800138000".
CREATE FUNCTION reach_keys(phones text[], mails text[], handles text[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(DISTINCT key), '{}') FROM (
        SELECT 'tel:' || regexp_replace(regexp_replace(phone, '\D', '', 'g'),
                                        '^(00)?(86(?=1\d{10}$|[1-9]\d{9,10}$))?0?', '')
          FROM unnest(phones) AS phone WHERE length(regexp_replace(phone, '\D', '', 'g')) >= 5
        UNION ALL SELECT 'mail:' || lower(btrim(mail)) FROM unnest(mails) AS mail WHERE position('@' IN mail) > 0
        UNION ALL SELECT 'id:' || handle FROM unnest(handles) AS handle WHERE handle <> ''
    ) AS ways (key)
$$;
CREATE INDEX contact_reach ON contact USING gin (reach_keys(phones, addresses, ARRAY[wechat_id]));

-- Calls, meetings and chats. A record grows by what is told of it, and is never told less.
CREATE TABLE conversation (
    id             uuid PRIMARY KEY,
    source         text NOT NULL,
    source_id      text NOT NULL,
    kind           text NOT NULL,
    started_at     timestamptz NOT NULL,
    -- closedloop.integrations.v1.Conversation, as far as sources have told it.
    document       bytea NOT NULL,
    -- By position of the participants: {"person_id", "contact_id"}, "" where nobody knows.
    sides          jsonb NOT NULL,
    person_ids     text[] NOT NULL,
    contact_ids    uuid[] NOT NULL,
    -- How outsiders are reached whom nobody knows yet.
    phones         text[] NOT NULL,
    mails          text[] NOT NULL,
    handles        text[] NOT NULL,
    owner_id       text NOT NULL,
    unit_id        text NOT NULL,
    account_id     uuid,
    opportunity_id uuid,
    -- Said by a person here; sources no longer change it.
    linked_by      text NOT NULL,
    linked         jsonb NOT NULL,
    -- Somebody of it was erased: it grows no more.
    erased         boolean NOT NULL,
    created_at     timestamptz NOT NULL,
    version        bigint NOT NULL,
    CONSTRAINT conversation_source_key UNIQUE (source, source_id)
);
CREATE INDEX conversation_started ON conversation (started_at DESC, id DESC);
CREATE INDEX conversation_account ON conversation (account_id, started_at DESC);
CREATE INDEX conversation_people ON conversation USING gin (person_ids);
CREATE INDEX conversation_contacts ON conversation USING gin (contact_ids);
CREATE INDEX conversation_waiting ON conversation USING gin (reach_keys(phones, mails, handles));

-- Chats come message by message. When one has gone quiet, what nobody has read yet becomes a conversation.
CREATE TABLE chat_message (
    source      text NOT NULL,
    id          text NOT NULL,
    chat        text NOT NULL,
    sent_at     timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    sender      text NOT NULL,
    name        text NOT NULL,
    recipients  text[] NOT NULL,
    title       text NOT NULL,
    text        text NOT NULL,
    -- source_id of the conversation.
    read_in     text,
    PRIMARY KEY (source, id)
);
CREATE INDEX chat_message_unread ON chat_message (source, chat) WHERE read_in IS NULL;
CREATE INDEX chat_message_sender ON chat_message (sender);
CREATE INDEX chat_message_recipients ON chat_message USING gin (recipients);
