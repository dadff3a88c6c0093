-- The dated organisation. A state holds from its day until the next one's; org_unit and org_person of the chassis hold
-- what is in force today, inherited values resolved.

CREATE TABLE unit (
    id           text PRIMARY KEY,
    open_date    date NOT NULL,
    -- The first day it is no more.
    close_date   date,
    successor_id text NOT NULL,
    provenance   jsonb NOT NULL,
    version      bigint NOT NULL,
    updated_at   timestamptz NOT NULL,
    -- Digest of what was last told of it; empty: nothing yet.
    told         text NOT NULL
);
CREATE TABLE unit_state (
    unit_id       text NOT NULL REFERENCES unit,
    start_date    date NOT NULL,
    parent_id     text NOT NULL,
    name          text NOT NULL,
    kind          text NOT NULL,
    manager_id    text NOT NULL,
    calendar      text NOT NULL,
    time_zone     text NOT NULL,
    currency_code text NOT NULL,
    territory     jsonb NOT NULL,
    custom_fields jsonb NOT NULL,
    PRIMARY KEY (unit_id, start_date)
);

CREATE TABLE person (
    id         text PRIMARY KEY,
    hire_date  date NOT NULL,
    -- The first day the person is no more here.
    leave_date date,
    provenance jsonb NOT NULL,
    version    bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    told       text NOT NULL
);
CREATE TABLE person_state (
    person_id     text NOT NULL REFERENCES person,
    start_date    date NOT NULL,
    unit_id       text NOT NULL,
    name          text NOT NULL,
    title         text NOT NULL,
    roles         text[] NOT NULL,
    function      text NOT NULL,
    email         text NOT NULL,
    mobile        text NOT NULL,
    handles       jsonb NOT NULL,
    time_zone     text NOT NULL,
    language      text NOT NULL,
    territory     jsonb NOT NULL,
    custom_fields jsonb NOT NULL,
    PRIMARY KEY (person_id, start_date)
);
CREATE INDEX person_state_unit ON person_state (unit_id, start_date);

CREATE TABLE product (
    id            text PRIMARY KEY,
    name          text NOT NULL,
    line          text NOT NULL,
    series        text NOT NULL,
    list_minor    bigint,
    list_currency text NOT NULL,
    launch_date   date,
    retired       boolean NOT NULL,
    custom_fields jsonb NOT NULL,
    provenance    jsonb NOT NULL,
    version       bigint NOT NULL,
    updated_at    timestamptz NOT NULL
);
CREATE INDEX product_line ON product (line, id);
CREATE TABLE product_alias (
    -- The alias as it is compared: case and spaces do not count.
    key        text CONSTRAINT product_alias_key PRIMARY KEY,
    alias      text NOT NULL,
    product_id text NOT NULL REFERENCES product,
    -- Its place in the product's list.
    position   smallint NOT NULL
);
CREATE INDEX product_alias_product ON product_alias (product_id);
CREATE TABLE product_stage (
    product_id text NOT NULL REFERENCES product,
    start_date date NOT NULL,
    stage      text NOT NULL CHECK (stage IN ('introduction', 'growth', 'mature', 'decline')),
    author_id  text NOT NULL,
    reason     text NOT NULL,
    CONSTRAINT product_stage_key PRIMARY KEY (product_id, start_date)
);
