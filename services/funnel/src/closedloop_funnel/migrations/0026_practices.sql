-- What the best deals have in common, as cards; deals told as cases.

CREATE TABLE practice_card (
    id               uuid PRIMARY KEY,
    version          bigint NOT NULL,
    -- proposed, published, retired
    state            text NOT NULL,
    title            text NOT NULL,
    method           text NOT NULL DEFAULT '',
    -- The feature it was made from; empty for one that nobody mined.
    feature_key      text NOT NULL DEFAULT '',
    -- PracticeFeature of the contract, as JSON.
    features         jsonb NOT NULL DEFAULT '[]',
    customer_types   text[] NOT NULL DEFAULT '{}',
    industries       text[] NOT NULL DEFAULT '{}',
    stage_keys       text[] NOT NULL DEFAULT '{}',
    action_unit_keys text[] NOT NULL DEFAULT '{}',
    case_ids         uuid[] NOT NULL DEFAULT '{}',
    author_id        text NOT NULL,
    unit_id          text NOT NULL,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL
);
CREATE INDEX practice_card_updated ON practice_card (state, updated_at DESC, id);

CREATE TABLE practice_case (
    id             uuid PRIMARY KEY,
    author_id      text NOT NULL,
    unit_id        text NOT NULL,
    opportunity_id uuid NOT NULL REFERENCES opportunity,
    title          text NOT NULL,
    decision_point text NOT NULL,
    turn           text NOT NULL,
    trick          text NOT NULL,
    customer_type  text NOT NULL DEFAULT '',
    industry       text NOT NULL DEFAULT '',
    created_at     timestamptz NOT NULL
);
CREATE INDEX practice_case_created ON practice_case (created_at DESC, id);

-- Deals that were found to be benchmarks.
CREATE TABLE practice_benchmark (
    opportunity_id uuid PRIMARY KEY REFERENCES opportunity,
    mined_at       timestamptz NOT NULL
);
