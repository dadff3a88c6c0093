-- Technical facts of accounts: one value and one owner per field. No owner: the account's.

CREATE TABLE parameter_sheet (
    account_id uuid PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    version    bigint NOT NULL
);

CREATE TABLE parameter_value (
    account_id      uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    key             text NOT NULL,
    -- null: unknown.
    value           jsonb,
    owner_id        text NOT NULL DEFAULT '',
    updated_by      text NOT NULL DEFAULT '',
    updated_at      timestamptz,
    business_action text NOT NULL DEFAULT '',
    PRIMARY KEY (account_id, key)
);
