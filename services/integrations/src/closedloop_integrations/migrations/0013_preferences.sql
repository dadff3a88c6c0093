-- How a colleague wants to be told; who has said nothing is told as the rulebook says.
CREATE TABLE preference (
    person_id    text PRIMARY KEY,
    -- In order; empty: the rulebook's.
    channels     text[] NOT NULL,
    -- Both null: the rulebook's hours.
    quiet_start  time,
    quiet_end    time,
    time_zone    text NOT NULL,
    digest_times time[] NOT NULL,
    muted_topics text[] NOT NULL,
    version      bigint NOT NULL
);

-- The message in which it went out together with others.
ALTER TABLE delivery ADD COLUMN digest_id uuid;
CREATE INDEX delivery_digest ON delivery (digest_id) WHERE digest_id IS NOT NULL;
CREATE INDEX delivery_gathered ON delivery (person_id, channel, due_at) WHERE state = 'held' AND reason = 'digest';
CREATE INDEX delivery_gateway ON delivery (gateway_id) WHERE gateway_id <> '';
