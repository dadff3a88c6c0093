-- Knowledge: articles, lessons, scripts, clauses, and the words they are found by.

CREATE TABLE article (
    id                   uuid PRIMARY KEY,
    version              bigint NOT NULL,
    -- product, policy, success_case, lesson, script, clause, solution, other
    kind                 text NOT NULL,
    -- draft, published, retired
    state                text NOT NULL,
    title                text NOT NULL,
    body                 text NOT NULL,
    summary              text NOT NULL DEFAULT '',
    -- Where it applies; empty: everywhere.
    customer_types       text[] NOT NULL DEFAULT '{}',
    industries           text[] NOT NULL DEFAULT '{}',
    stage_keys           text[] NOT NULL DEFAULT '{}',
    product_ids          text[] NOT NULL DEFAULT '{}',
    length_ms            bigint,
    ability_keys         text[] NOT NULL DEFAULT '{}',
    applied_hearing_keys text[] NOT NULL DEFAULT '{}',
    attachment_ids       uuid[] NOT NULL DEFAULT '{}',
    language_code        text NOT NULL DEFAULT '',
    author_id            text NOT NULL,
    unit_id              text NOT NULL,
    provenance           jsonb NOT NULL DEFAULT '{}',
    -- SHA-256 of the row it was last imported from; an equal row changes nothing.
    import_digest        text NOT NULL DEFAULT '',
    valid_until          date,
    -- Pairs of characters and words; A: title, B: summary, C: body.
    words                tsvector NOT NULL,
    created_at           timestamptz NOT NULL,
    updated_at           timestamptz NOT NULL
);
CREATE UNIQUE INDEX article_provenance_key ON article ((provenance ->> 'source'), (provenance ->> 'source_id'))
    WHERE provenance <> '{}';
CREATE INDEX article_words ON article USING gin (words) WHERE state = 'published';
CREATE INDEX article_updated ON article (state, updated_at DESC, id);
