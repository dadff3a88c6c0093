-- Each activity by itself, as it was last told of: one that is found false afterwards moves its customer no more (S12).
-- `account_activity` keeps what was heard of before; its latest moment of each customer still counts.
CREATE TABLE account_meeting (
    activity_id text PRIMARY KEY,
    account_id  text NOT NULL,
    at          timestamptz NOT NULL,
    effective   boolean NOT NULL,
    version     bigint NOT NULL
);
CREATE INDEX account_meeting_account ON account_meeting (account_id, at DESC) WHERE effective;
