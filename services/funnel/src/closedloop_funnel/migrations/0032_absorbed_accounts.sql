-- What an account has absorbed: its deals are listed with it.
CREATE INDEX account_absorbed ON account (merged_into_id) WHERE merged_into_id IS NOT NULL;
