-- Which account had which grade, since when and why; the present one stands in account.grade.

CREATE TABLE grade_change (
    id         uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    changed_at timestamptz NOT NULL,
    from_grade text NOT NULL,
    to_grade   text NOT NULL,
    rule       jsonb NOT NULL,
    cause      text NOT NULL
);
CREATE INDEX grade_change_account ON grade_change (account_id, id);
