-- Each poll has a circuit of its own; the source's is the worst of them.
ALTER TABLE poll ADD COLUMN failures integer NOT NULL DEFAULT 0, ADD COLUMN retry_at timestamptz;
UPDATE poll SET failures = source.failures, retry_at = source.retry_at FROM source WHERE source.name = poll.source;
