-- Whether the origin of a task says itself if what was done worked. Those settled before were watched for their cause to come back,
-- and still are.
ALTER TABLE task ADD COLUMN origin_checks boolean NOT NULL DEFAULT false;
