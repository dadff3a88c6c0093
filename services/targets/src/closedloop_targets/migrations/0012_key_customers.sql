-- Customers, their open deals and their last activity, as the services that own them last told it (S12).
CREATE TABLE account_copy (
    id            text PRIMARY KEY,
    name          text NOT NULL,
    grade         text NOT NULL,
    owner_id      text NOT NULL,
    unit_id       text NOT NULL,
    merged_into   text NOT NULL,
    -- When it came here: without any movement the days are counted from it.
    known_since   timestamptz NOT NULL,
    reminded_at   timestamptz,
    version       bigint NOT NULL
);
CREATE INDEX account_copy_grade ON account_copy (grade, id) WHERE merged_into = '';
CREATE TABLE account_deal (
    id          text PRIMARY KEY,
    account_id  text NOT NULL,
    pipeline    text NOT NULL,
    stage       text NOT NULL,
    stage_at    timestamptz,
    probability double precision NOT NULL,
    minor       bigint NOT NULL,
    currency    text NOT NULL,
    open        boolean NOT NULL,
    version     bigint NOT NULL
);
CREATE INDEX account_deal_account ON account_deal (account_id) WHERE open;
CREATE TABLE account_activity (
    account_id text PRIMARY KEY,
    last_at    timestamptz NOT NULL
);
