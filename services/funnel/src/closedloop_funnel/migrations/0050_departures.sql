-- Since when people are gone, whether or not anybody has said how they began: a newcomer who is described after he left has not stayed.

CREATE TABLE departure (
    person_id  text PRIMARY KEY,
    leave_date date NOT NULL
);
INSERT INTO departure (person_id, leave_date)
SELECT person_id, leave_date FROM onboarding WHERE leave_date IS NOT NULL;
