-- What was agreed for a week, whenever it was agreed: follow-ups on time (S17).
CREATE INDEX activity_next_step ON activity (next_step_date) WHERE next_step_date IS NOT NULL;
