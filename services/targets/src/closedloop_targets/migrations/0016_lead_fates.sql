-- What became of a lead, whichever was heard first: that it came or that it turned into an opportunity (S18).
CREATE TABLE lead_fate (
    lead_id     text PRIMARY KEY,
    -- Null until it is known when it came.
    received_on date,
    converted   boolean NOT NULL
);
