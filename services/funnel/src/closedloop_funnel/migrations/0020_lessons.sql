-- Lessons offered to people, up to the proof that they are applied.

CREATE TABLE lesson_offer (
    id                      uuid PRIMARY KEY,
    version                 bigint NOT NULL,
    person_id               text NOT NULL,
    unit_id                 text NOT NULL,
    article_id              uuid NOT NULL REFERENCES article,
    -- offered, completed, evidence_submitted, applied, refused, expired
    state                   text NOT NULL,
    opportunity_id          uuid,
    stage_key               text NOT NULL DEFAULT '',
    training_id             uuid,
    -- breaker, step, opened; empty: by hand
    rule                    text NOT NULL DEFAULT '',
    rule_version            bigint NOT NULL DEFAULT 0,
    explanation             text NOT NULL DEFAULT '',
    offered_by              text NOT NULL,
    -- The larger the sooner it stands in the list.
    pressing                integer NOT NULL DEFAULT 0,
    score                   float8,
    evidence_record_id      uuid,
    evidence_attachment_ids uuid[] NOT NULL DEFAULT '{}',
    evidence_note           text NOT NULL DEFAULT '',
    evidence_sentence       text NOT NULL DEFAULT '',
    reviewer_id             text NOT NULL DEFAULT '',
    review_comment          text NOT NULL DEFAULT '',
    offered_at              timestamptz NOT NULL,
    completed_at            timestamptz,
    applied_at              timestamptz,
    expires_at              timestamptz NOT NULL
);
-- A lesson is on somebody's table once, and one record proves it once.
CREATE UNIQUE INDEX lesson_offer_open ON lesson_offer (person_id, article_id)
    WHERE state IN ('offered', 'completed', 'evidence_submitted', 'refused');
CREATE UNIQUE INDEX lesson_offer_evidence ON lesson_offer (article_id, evidence_record_id)
    WHERE evidence_record_id IS NOT NULL AND state IN ('evidence_submitted', 'applied');
CREATE INDEX lesson_offer_person ON lesson_offer (person_id, pressing DESC, offered_at DESC);
CREATE INDEX lesson_offer_opportunity ON lesson_offer (opportunity_id) WHERE opportunity_id IS NOT NULL;
CREATE INDEX article_lessons ON article (id) WHERE kind = 'lesson' AND state = 'published';
