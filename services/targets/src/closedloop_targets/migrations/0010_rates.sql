-- One unit of `base` is `rate` units of `quote` from a day on, until the next one of the pair and kind (U16).
CREATE TABLE rate (
    base       text NOT NULL,
    quote      text NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('spot', 'plan', 'closing')),
    start_date date NOT NULL,
    rate       numeric NOT NULL CHECK (rate > 0),
    provenance jsonb NOT NULL,
    PRIMARY KEY (base, quote, kind, start_date)
);
CREATE INDEX actual_currency ON actual (currency, date) WHERE reverses_id IS NULL AND reversed_by_id IS NULL;
