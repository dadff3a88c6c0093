-- Events put back for another attempt: few, and asked for with every batch.
CREATE INDEX inbox_put_back ON inbox (slot, next_at) WHERE state = 0 AND next_at IS NOT NULL;

-- Something to be done at a moment, as against a clock, which somebody has to meet.
CREATE TABLE timer (
    kind       text NOT NULL,
    subject    text NOT NULL,
    at         timestamptz NOT NULL,
    -- When it is next tried: `at`, later after a failure.
    next_at    timestamptz NOT NULL,
    attributes jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (kind, subject)
);
CREATE INDEX timer_next ON timer (next_at);
