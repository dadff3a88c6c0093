-- Which actions carry which target (S15). `source_id` is the binding of the version before that this one goes on from.
CREATE TABLE binding (
    id            uuid PRIMARY KEY,
    target_id     uuid NOT NULL REFERENCES target ON DELETE CASCADE,
    owner_id      text NOT NULL,
    unit_id       text NOT NULL,
    kind          text NOT NULL,
    name          text NOT NULL,
    verification  text NOT NULL,
    result_metric text NOT NULL,
    quantity      integer NOT NULL,
    start_date    date NOT NULL,
    -- The last day, included; moved forward when the binding is ended.
    end_date      date NOT NULL,
    subject       text NOT NULL,
    source_id     uuid,
    version       bigint NOT NULL DEFAULT 1
);
CREATE INDEX binding_target ON binding (target_id);
CREATE INDEX binding_owner ON binding (owner_id, id);

CREATE TABLE key_action (
    id            uuid PRIMARY KEY,
    binding_id    uuid NOT NULL,
    target_id     uuid NOT NULL,
    owner_id      text NOT NULL,
    unit_id       text NOT NULL,
    kind          text NOT NULL,
    name          text NOT NULL,
    date          date NOT NULL,
    state         text NOT NULL CHECK (state IN ('planned', 'claimed', 'verified', 'rejected', 'missed', 'cancelled')),
    subject       text NOT NULL,
    evidence_kind text NOT NULL DEFAULT '',
    evidence      text NOT NULL DEFAULT '',
    evidence_note text NOT NULL DEFAULT '',
    completed_at  timestamptz,
    verified_by   text NOT NULL DEFAULT '',
    comment       text NOT NULL DEFAULT '',
    version       bigint NOT NULL DEFAULT 1
);
CREATE INDEX key_action_binding ON key_action (binding_id, state);
CREATE INDEX key_action_day ON key_action (date, id);
CREATE INDEX key_action_owner ON key_action (owner_id, kind, date);
CREATE UNIQUE INDEX key_action_evidence_key ON key_action (kind, evidence_kind, evidence) WHERE evidence <> '';
