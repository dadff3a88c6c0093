-- Activities as the funnel told them last, so that which action each proves does not depend on when it was heard.
CREATE TABLE proof (
    activity_id text PRIMARY KEY,
    owner_id    text NOT NULL,
    -- Kinds of actions it may prove.
    kinds       text[] NOT NULL,
    -- The account and the deal it was about.
    subjects    text[] NOT NULL,
    day         date NOT NULL,
    at          timestamptz NOT NULL,
    effective   boolean NOT NULL,
    version     bigint NOT NULL
);
CREATE INDEX proof_owner ON proof (owner_id, day) WHERE effective;

INSERT INTO proof (activity_id, owner_id, kinds, subjects, day, at, effective, version)
SELECT evidence, min(owner_id), array_agg(kind), array_agg(subject), min(completed_at)::date, min(completed_at), true, 0
  FROM key_action WHERE evidence_kind = 'activity' AND verified_by = 'reactor' GROUP BY evidence;
