-- Events of a subject are applied in order also when a broker loses one and has it told again later.

-- The event that is applied before this one, if it had not arrived when this one did.
ALTER TABLE inbox ADD COLUMN after_id uuid;
CREATE INDEX inbox_after ON inbox (slot) WHERE state = 0 AND after_id IS NOT NULL;
CREATE INDEX outbox_subject ON outbox (subject);
