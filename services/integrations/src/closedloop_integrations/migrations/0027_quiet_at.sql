-- When the next quiet hours begin for a message that waits: who has not left by then is looked at again. Null: nothing is quiet for it.
ALTER TABLE delivery ADD COLUMN quiet_at timestamptz;
CREATE INDEX delivery_overdue ON delivery (quiet_at) WHERE state IN ('queued', 'held') AND quiet_at IS NOT NULL;
