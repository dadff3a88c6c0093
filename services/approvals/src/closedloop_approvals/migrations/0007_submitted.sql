-- Matters count together by when their present content was submitted: one that was opened small and mended large would
-- otherwise be past its window when it grows. Null: as it was opened.
ALTER TABLE approval_request ADD COLUMN submitted_at timestamptz;
DROP INDEX approval_request_account;
CREATE INDEX approval_request_account ON approval_request (account_id, kind, coalesce(submitted_at, opened_at))
    WHERE account_id IS NOT NULL;
