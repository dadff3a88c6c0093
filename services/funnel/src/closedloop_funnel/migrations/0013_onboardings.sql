-- How newcomers start, and whether they stay.

CREATE TABLE onboarding (
    person_id  text PRIMARY KEY,
    version    bigint NOT NULL,
    unit_id    text NOT NULL,
    start_date date NOT NULL,
    -- shadow, own_customers, mixed
    style      text NOT NULL,
    guide_id   text NOT NULL DEFAULT '',
    leave_date date,
    updated_at timestamptz NOT NULL
);
CREATE INDEX onboarding_started ON onboarding (start_date, person_id);
CREATE INDEX opportunity_won_by ON opportunity (owner_id, close_date) WHERE state = 'won';
