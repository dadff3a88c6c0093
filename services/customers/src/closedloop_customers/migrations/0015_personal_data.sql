-- What persons allowed, what they asked of us, and who looked at what we keep of them.

CREATE TABLE consent (
    id           uuid PRIMARY KEY,
    record_type  text NOT NULL CHECK (record_type IN ('contact', 'lead')),
    record_id    uuid NOT NULL,
    -- Empty: all purposes, every channel.
    purpose      text NOT NULL DEFAULT '',
    channel      text NOT NULL DEFAULT '',
    granted      boolean NOT NULL,
    text_version text NOT NULL DEFAULT '',
    provenance   jsonb NOT NULL,
    recorded_by  text NOT NULL,
    effective_at timestamptz NOT NULL
);
CREATE INDEX consent_record ON consent (record_id, effective_at DESC, id);

CREATE TABLE personal_request (
    id              uuid PRIMARY KEY,
    kind            text NOT NULL CHECK (kind IN ('access', 'erasure')),
    state           text NOT NULL CHECK (state IN ('open', 'done', 'refused')),
    requester       text NOT NULL,
    opened_at       timestamptz NOT NULL,
    due_at          timestamptz NOT NULL,
    decided_by      text NOT NULL DEFAULT '',
    decided_at      timestamptz,
    decision_reason text NOT NULL DEFAULT '',
    export_until    timestamptz,
    version         bigint NOT NULL
);
CREATE INDEX personal_request_due ON personal_request (due_at, id);

CREATE TABLE personal_request_record (
    request_id  uuid NOT NULL REFERENCES personal_request ON DELETE CASCADE,
    record_type text NOT NULL CHECK (record_type IN ('contact', 'lead')),
    record_id   uuid NOT NULL,
    PRIMARY KEY (request_id, record_id)
);
CREATE INDEX personal_request_record_record ON personal_request_record (record_id);

-- The same look within one minute is one row.
CREATE TABLE personal_access (
    record_id    uuid NOT NULL,
    actor_id     text NOT NULL,
    on_behalf_of text NOT NULL DEFAULT '',
    method       text NOT NULL,
    minute       timestamptz NOT NULL,
    PRIMARY KEY (record_id, minute, actor_id, on_behalf_of, method)
);

-- By which closed leads are found again; open ones are in lead_key.
CREATE INDEX lead_closed_phone ON lead (right(regexp_replace(normalize(profile->>'phone', NFKC), '[^0-9]', '', 'g'), 8))
 WHERE stage = 'closed' AND profile ? 'phone';
CREATE INDEX lead_closed_mail ON lead (lower(normalize(profile->>'email_address', NFKC)))
 WHERE stage = 'closed' AND profile ? 'email_address';
CREATE INDEX lead_contact ON lead (contact_id) WHERE contact_id IS NOT NULL;
CREATE INDEX lead_closed ON lead (closed_at) WHERE stage = 'closed';
