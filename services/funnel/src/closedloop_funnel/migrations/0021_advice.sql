-- What was advised after a talk or a proposal, and whether it helped.

CREATE TABLE advice (
    id             uuid PRIMARY KEY,
    -- talk, clauses
    kind           text NOT NULL,
    person_id      text NOT NULL,
    unit_id        text NOT NULL,
    activity_id    uuid,
    proposal_id    uuid,
    opportunity_id uuid,
    -- [{"key", "title", "text", "sentence", "raised", "similar", "reasons", "article_ids"}], best first
    items          jsonb NOT NULL,
    helpful        boolean,
    comment        text NOT NULL DEFAULT '',
    created_at     timestamptz NOT NULL
);
CREATE UNIQUE INDEX advice_activity ON advice (activity_id) WHERE activity_id IS NOT NULL;
CREATE UNIQUE INDEX advice_proposal ON advice (proposal_id) WHERE proposal_id IS NOT NULL;
CREATE INDEX advice_person ON advice (person_id, created_at DESC);
CREATE INDEX advice_created ON advice (created_at DESC, id);
CREATE INDEX transcript_activity ON transcript (activity_id) WHERE activity_id IS NOT NULL;
