CREATE TABLE plan (
    id               uuid PRIMARY KEY,
    name             text NOT NULL,
    unit_id          text NOT NULL,
    owner_id         text NOT NULL,
    period           text NOT NULL,
    start_date       date NOT NULL,
    end_date         date NOT NULL,
    currency         text NOT NULL,
    must_sum         boolean NOT NULL,
    strategy         text NOT NULL,
    custom_fields    jsonb NOT NULL,
    version_in_force integer NOT NULL DEFAULT 0,
    latest_version   integer NOT NULL DEFAULT 1,
    version          bigint NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL
);
CREATE INDEX plan_unit ON plan (unit_id, start_date);
CREATE INDEX plan_latest ON plan (start_date DESC, id DESC);

CREATE TABLE plan_version (
    plan_id          uuid NOT NULL REFERENCES plan,
    number           integer NOT NULL,
    state            text NOT NULL
                     CHECK (state IN ('draft', 'scheduled', 'in_force', 'superseded', 'recalled', 'discarded')),
    base_version     integer NOT NULL,
    -- The version in force when the draft was opened.
    opened_under     integer NOT NULL,
    cause            text NOT NULL,
    reason           text NOT NULL,
    evidence         jsonb NOT NULL,
    author_id        text NOT NULL,
    created_at       timestamptz NOT NULL,
    effective_date   date,
    published_by     text NOT NULL DEFAULT '',
    published_at     timestamptz,
    recalled_by      text NOT NULL DEFAULT '',
    recalled_at      timestamptz,
    recall_reason    text NOT NULL DEFAULT '',
    -- Grows with every change of its targets, too.
    version          bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (plan_id, number)
);
CREATE UNIQUE INDEX plan_version_in_force_key ON plan_version (plan_id) WHERE state = 'in_force';

CREATE TABLE target (
    id            uuid PRIMARY KEY,
    plan_id       uuid NOT NULL,
    number        integer NOT NULL,
    parent_id     uuid,
    holder_kind   text NOT NULL CHECK (holder_kind IN ('unit', 'person')),
    holder_id     text NOT NULL,
    depth         smallint NOT NULL,
    metric        text NOT NULL,
    product_id    text NOT NULL,
    product_line  text NOT NULL,
    segment       text NOT NULL,
    period        text NOT NULL,
    start_date    date NOT NULL,
    end_date      date NOT NULL,
    -- Base and padding: what counts.
    minor         bigint NOT NULL,
    base_minor    bigint NOT NULL,
    currency      text NOT NULL,
    padding       jsonb NOT NULL,
    -- Whoever answers for it, and the unit it belongs to.
    owner_id      text NOT NULL,
    unit_id       text NOT NULL,
    statement     text NOT NULL,
    strategy      text NOT NULL,
    cascade_id    uuid,
    -- False on a part of the holder's own target (a product of it), which a board would count twice.
    counts        boolean NOT NULL,
    custom_fields jsonb NOT NULL,
    source        text NOT NULL,
    source_id     text NOT NULL,
    provenance    jsonb NOT NULL,
    version       bigint NOT NULL,
    updated_at    timestamptz NOT NULL,
    FOREIGN KEY (plan_id, number) REFERENCES plan_version
);
CREATE INDEX target_version ON target (plan_id, number, metric, depth, id);
CREATE INDEX target_parent ON target (parent_id);
CREATE INDEX target_holder ON target (holder_id, metric, holder_kind) WHERE counts;
CREATE UNIQUE INDEX target_source_key ON target (plan_id, number, source, source_id) WHERE source_id <> '';

CREATE TABLE cell (
    target_id  uuid NOT NULL REFERENCES target ON DELETE CASCADE,
    -- year, half, quarter, month, fortnight, week, day
    grain      text NOT NULL,
    period     text NOT NULL,
    start_date date NOT NULL,
    end_date   date NOT NULL,
    minor      bigint NOT NULL,
    PRIMARY KEY (target_id, grain, start_date)
) ;

CREATE TABLE cascade (
    id              uuid PRIMARY KEY,
    plan_id         uuid NOT NULL,
    number          integer NOT NULL,
    target_id       uuid NOT NULL,
    unit_id         text NOT NULL,
    owner_id        text NOT NULL,
    rules           jsonb NOT NULL,
    minor           bigint NOT NULL,
    allocated_minor bigint NOT NULL,
    padding_minor   bigint NOT NULL,
    currency        text NOT NULL,
    node_count      integer NOT NULL,
    cell_count      bigint NOT NULL,
    author_id       text NOT NULL,
    run_at          timestamptz NOT NULL
);
CREATE TABLE allocation (
    cascade_id     uuid NOT NULL REFERENCES cascade,
    position       integer NOT NULL,
    target_id      text NOT NULL,
    holder_kind    text NOT NULL,
    holder_id      text NOT NULL,
    unit_id        text NOT NULL,
    parent_kind    text NOT NULL,
    parent_id      text NOT NULL,
    depth          smallint NOT NULL,
    product_id     text NOT NULL,
    product_line   text NOT NULL,
    segment        text NOT NULL,
    minor          bigint NOT NULL,
    base_minor     bigint NOT NULL,
    method         text NOT NULL,
    fell_back      boolean NOT NULL,
    pinned         boolean NOT NULL,
    weight         text NOT NULL,
    share_ratio    double precision NOT NULL,
    rounding_minor bigint NOT NULL,
    PRIMARY KEY (cascade_id, position)
);

CREATE TABLE sum_exception (
    id                  uuid PRIMARY KEY,
    plan_id             uuid NOT NULL,
    number              integer NOT NULL,
    target_id           uuid NOT NULL,
    -- Of the target, so that reading needs no join.
    owner_id            text NOT NULL,
    unit_id             text NOT NULL,
    -- Of base amounts: what the children lack; negative when they have too much.
    difference_minor    bigint NOT NULL,
    difference_ratio    double precision NOT NULL,
    currency            text NOT NULL,
    reason              text NOT NULL,
    requested_by        text NOT NULL,
    requested_at        timestamptz NOT NULL,
    state               text NOT NULL CHECK (state IN ('waiting', 'signed', 'refused', 'lapsed')),
    digest              text NOT NULL,
    approval_request_id text NOT NULL DEFAULT '',
    decided_by          text NOT NULL DEFAULT '',
    decided_at          timestamptz,
    comment             text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX sum_exception_open_key ON sum_exception (target_id) WHERE state IN ('waiting', 'signed');
CREATE INDEX sum_exception_version ON sum_exception (plan_id, number, id);

-- Open opportunities as the funnel last told them: the pipeline that carries a target.
CREATE TABLE pipeline_deal (
    id           text PRIMARY KEY,
    owner_id     text NOT NULL,
    unit_id      text NOT NULL,
    minor        bigint NOT NULL,
    currency     text NOT NULL,
    probability  double precision NOT NULL,
    close_date   date,
    open         boolean NOT NULL,
    version      bigint NOT NULL
);
CREATE INDEX pipeline_deal_owner ON pipeline_deal (owner_id, close_date) WHERE open;
CREATE INDEX pipeline_deal_unit ON pipeline_deal (unit_id, close_date) WHERE open;
