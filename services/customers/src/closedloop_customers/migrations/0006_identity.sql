-- Who is who: pairs that may be one customer, merges and what they moved.

-- Blocks of alike names: the same brand, its first three characters, its last three ("name:华东精密@上海").
CREATE INDEX account_key_core ON account_key (split_part(key, '@', 1)) WHERE starts_with(key, 'name:');
CREATE INDEX account_key_head ON account_key (left(split_part(key, '@', 1), 8)) WHERE starts_with(key, 'name:');
CREATE INDEX account_key_tail ON account_key (right(split_part(key, '@', 1), 3)) WHERE starts_with(key, 'name:');
CREATE INDEX account_registration ON account ((profile->>'foreign_registration')) WHERE profile ? 'foreign_registration';
CREATE INDEX lead_company ON lead (lower(profile->>'company_name')) WHERE stage <> 'closed';

CREATE TABLE duplicate_pair (
    id              uuid PRIMARY KEY,
    record_type     text NOT NULL CHECK (record_type IN ('account', 'contact', 'lead')),
    -- The older record.
    left_id         uuid NOT NULL,
    right_id        uuid NOT NULL,
    probability     double precision NOT NULL,
    reasons         jsonb NOT NULL,
    state           text NOT NULL CHECK (state IN ('open', 'merged', 'dismissed')),
    -- Of what was compared: a pair once dismissed is shown again when either side changes it.
    digest          text NOT NULL,
    decided_by      text NOT NULL DEFAULT '',
    decided_at      timestamptz,
    decision_reason text NOT NULL DEFAULT '',
    found_at        timestamptz NOT NULL,
    CONSTRAINT duplicate_pair_key UNIQUE (left_id, right_id)
);
CREATE INDEX duplicate_pair_right ON duplicate_pair (right_id);
CREATE INDEX duplicate_pair_open ON duplicate_pair (record_type, probability DESC, id) WHERE state = 'open';

CREATE TABLE merge (
    id           uuid PRIMARY KEY,
    record_type  text NOT NULL CHECK (record_type IN ('account', 'contact', 'lead')),
    survivor_id  uuid NOT NULL,
    absorbed_ids uuid[] NOT NULL,
    -- Field -> the absorbed record it came from.
    choices      jsonb NOT NULL,
    -- By id: the records as they were before.
    before       jsonb NOT NULL,
    -- By kind: how many references followed.
    moved        jsonb NOT NULL,
    owner_id     text NOT NULL,
    unit_id      text NOT NULL,
    reason       text NOT NULL,
    merged_by    text NOT NULL,
    merged_at    timestamptz NOT NULL,
    unmerged_by  text NOT NULL DEFAULT '',
    unmerged_at  timestamptz
);
CREATE INDEX merge_survivor ON merge (survivor_id);
CREATE INDEX merge_absorbed ON merge USING gin (absorbed_ids);

-- Every reference a merge moved, so that it finds its way back.
CREATE TABLE merge_reference (
    merge_id uuid NOT NULL REFERENCES merge ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    kind     text NOT NULL,
    row_key  text NOT NULL,
    from_id  uuid NOT NULL,
    PRIMARY KEY (merge_id, kind, row_key)
);
