-- Procurement notices as published, mended where they could be.
CREATE TABLE notice (
    id            uuid PRIMARY KEY,
    source        text NOT NULL,
    source_id     text NOT NULL,
    -- Of everything the source says; an equal one is no change.
    digest        text NOT NULL,
    version       bigint NOT NULL DEFAULT 1,
    kind          text NOT NULL,
    title         text NOT NULL,
    buyer         text NOT NULL,
    buyer_key     text NOT NULL,
    agency        text NOT NULL,
    region        text NOT NULL,
    items         jsonb NOT NULL,
    amount_minor  bigint,
    currency      text NOT NULL,
    publish_date  date NOT NULL,
    expected_date text NOT NULL,
    deadline_at   timestamptz,
    url           text NOT NULL,
    body          text NOT NULL,
    -- Title and body without typography, line by line; searched and matched.
    search_text   text NOT NULL,
    sectors       text[] NOT NULL,
    keywords      text[] NOT NULL,
    suppliers     text[] NOT NULL,
    mended        text[] NOT NULL,
    project_key   text NOT NULL,
    brought_by    text NOT NULL,
    observed_at   timestamptz NOT NULL,
    created_at    timestamptz NOT NULL,
    CONSTRAINT notice_source_key UNIQUE (source, source_id)
);
CREATE INDEX notice_published ON notice (publish_date DESC, id DESC);
CREATE INDEX notice_buyer ON notice (buyer_key);
CREATE INDEX notice_project ON notice (project_key);
CREATE INDEX notice_sectors ON notice USING gin (sectors);

CREATE TABLE notice_match (
    id               uuid PRIMARY KEY,
    notice_id        uuid NOT NULL REFERENCES notice,
    account_id       uuid NOT NULL,
    state            text NOT NULL CHECK (state IN ('found', 'doubtful', 'confirmed', 'rejected')),
    -- The notice was changed and speaks of this account no longer.
    superseded       boolean NOT NULL DEFAULT false,
    confidence       float8 NOT NULL,
    matched_name     text NOT NULL,
    matched_text     text NOT NULL,
    matched_field    text NOT NULL,
    rulebook_version bigint NOT NULL,
    rule             text NOT NULL,
    explanation      text NOT NULL,
    matched_at       timestamptz NOT NULL,
    reviewed_by      text NOT NULL DEFAULT '',
    reviewed_at      timestamptz,
    review_comment   text NOT NULL DEFAULT '',
    version          bigint NOT NULL DEFAULT 1,
    CONSTRAINT notice_match_key UNIQUE (notice_id, account_id)
);
CREATE INDEX notice_match_account ON notice_match (account_id, matched_at DESC);
CREATE INDEX notice_match_time ON notice_match (matched_at DESC, id DESC);

-- Pages the poller has read, so that it asks only for what changed.
CREATE TABLE fetched_page (
    url        text PRIMARY KEY,
    source     text NOT NULL,
    etag       text NOT NULL DEFAULT '',
    -- Of what the list says about it; another digest is read again.
    row_digest text NOT NULL DEFAULT '',
    fetched_at timestamptz NOT NULL
);
