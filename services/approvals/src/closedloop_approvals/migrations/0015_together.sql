-- What counts together: of one customer, whatever its record was called before it was merged; and, where no customer is
-- named, of one owner.
ALTER TABLE account ADD COLUMN merged_into_id uuid;
CREATE INDEX account_absorbed ON account (merged_into_id) WHERE merged_into_id IS NOT NULL;

-- The account with all that became part of the same one, in order; of an unknown one itself, of null nothing. Not in SQL: that
-- would be planned at every call.
CREATE FUNCTION account_family(account uuid) RETURNS uuid[] STABLE LANGUAGE plpgsql AS $$
BEGIN
    IF account IS NULL THEN
        RETURN '{}';
    END IF;
    RETURN (
        WITH RECURSIVE above AS (
            SELECT account_family.account AS id
            UNION SELECT a.merged_into_id FROM account a JOIN above USING (id) WHERE a.merged_into_id IS NOT NULL
        ), family AS (
            SELECT id FROM above UNION SELECT a.id FROM account a JOIN family f ON a.merged_into_id = f.id
        )
        SELECT array_agg(id ORDER BY id) FROM family
    );
END $$;

CREATE INDEX approval_request_together ON approval_request (owner_id, kind, coalesce(submitted_at, opened_at));
