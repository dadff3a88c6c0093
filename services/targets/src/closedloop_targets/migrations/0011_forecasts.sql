CREATE TABLE forecast_run (
    id            uuid PRIMARY KEY,
    state         text NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed')),
    unit_id       text NOT NULL,
    -- Unit and the series that wait, in the order in which they are stated.
    series        jsonb NOT NULL,
    series_total  integer NOT NULL,
    series_done   integer NOT NULL DEFAULT 0,
    series_naive  integer NOT NULL DEFAULT 0,
    series_failed integer NOT NULL DEFAULT 0,
    requested_by  text NOT NULL,
    reason        text NOT NULL,
    started_at    timestamptz NOT NULL,
    ended_at      timestamptz,
    error         text NOT NULL DEFAULT ''
);
CREATE INDEX forecast_run_open ON forecast_run (unit_id) WHERE state IN ('queued', 'running');

-- Every statement is kept: what stood at a moment can be read later.
CREATE TABLE forecast (
    holder_kind    text NOT NULL,
    holder_id      text NOT NULL,
    owner_id       text NOT NULL,
    unit_id        text NOT NULL,
    metric         text NOT NULL,
    product_id     text NOT NULL,
    stated_at      timestamptz NOT NULL,
    run_id         uuid NOT NULL,
    currency       text NOT NULL,
    method         text NOT NULL,
    naive          boolean NOT NULL,
    explanation    text NOT NULL,
    history_months integer NOT NULL,
    interval_ratio double precision NOT NULL,
    -- Month by month: period, start, end, value, lower, upper, and the parts that sum to the value.
    points         jsonb NOT NULL,
    mase           double precision,
    wape           double precision,
    coverage       double precision,
    folds          integer NOT NULL,
    fold_months    integer NOT NULL,
    verdict        text NOT NULL,
    PRIMARY KEY (holder_kind, holder_id, metric, product_id, stated_at)
);

CREATE TABLE market_trend (
    id            uuid PRIMARY KEY,
    unit_id       text NOT NULL,
    product_id    text NOT NULL,
    product_line  text NOT NULL,
    segment       text NOT NULL,
    period        text NOT NULL,
    start_date    date NOT NULL,
    end_date      date NOT NULL,
    growth_ratio  double precision NOT NULL,
    reason        text NOT NULL,
    author_id     text NOT NULL,
    provenance    jsonb NOT NULL,
    recorded_at   timestamptz NOT NULL,
    superseded_by text NOT NULL DEFAULT ''
);
CREATE INDEX market_trend_unit ON market_trend (unit_id, start_date) WHERE superseded_by = '';
