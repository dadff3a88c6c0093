-- Actions as they were reported first; an action does not change. Whose it is may be learned later.
CREATE TABLE behaviour (
    id          uuid PRIMARY KEY,
    source      text NOT NULL,
    source_id   text NOT NULL,
    kind        text NOT NULL,
    observed_at timestamptz NOT NULL,
    visitor_id  text NOT NULL,
    product_ids text[] NOT NULL,
    -- closedloop.integrations.v1.Behaviour as it came.
    document    bytea NOT NULL,
    account_id  uuid,
    contact_id  uuid,
    -- Whose it is was told by the source, not learned from its visitor.
    said        boolean NOT NULL,
    created_at  timestamptz NOT NULL,
    CONSTRAINT behaviour_source_key UNIQUE (source, source_id)
);
CREATE INDEX behaviour_time ON behaviour (observed_at DESC, id DESC);
CREATE INDEX behaviour_account ON behaviour (account_id, observed_at DESC);
CREATE INDEX behaviour_contact ON behaviour (contact_id, observed_at DESC);
CREATE INDEX behaviour_visitor ON behaviour (visitor_id, observed_at DESC) WHERE visitor_id <> '';

-- Who a cookie or device turned out to be.
CREATE TABLE visitor (
    id         text PRIMARY KEY,
    account_id uuid NOT NULL,
    contact_id uuid,
    linked_by  text NOT NULL,
    linked_at  timestamptz NOT NULL
);
CREATE INDEX visitor_contact ON visitor (contact_id) WHERE contact_id IS NOT NULL;
