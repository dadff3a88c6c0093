-- What a process review is about, and what becomes of the action.

ALTER TABLE review
    ADD COLUMN action_unit_key text NOT NULL DEFAULT '',
    ADD COLUMN result_metric text NOT NULL DEFAULT '',
    ADD COLUMN process_verdict text NOT NULL DEFAULT '';
CREATE UNIQUE INDEX review_process ON review (action_unit_key) WHERE kind = 'process' AND state = 'open';
