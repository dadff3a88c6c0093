-- A manager's judgement over the head of the owner, with its history (U2).

CREATE TABLE forecast_override (
    id                  uuid PRIMARY KEY,
    opportunity_id      uuid NOT NULL REFERENCES opportunity,
    author_id           text NOT NULL,
    -- Unit in whose forecast it counts, and how many units it stands above the deal's own.
    unit_id             text NOT NULL,
    level               integer NOT NULL,
    category            text NOT NULL DEFAULT '',
    amount_minor        bigint,
    currency            text NOT NULL DEFAULT '',
    reporting_minor     bigint,
    expected_close_date date,
    reason              text NOT NULL,
    at                  timestamptz NOT NULL,
    lifted_at           timestamptz
);
CREATE UNIQUE INDEX forecast_override_in_force ON forecast_override (opportunity_id, author_id) WHERE lifted_at IS NULL;
CREATE INDEX forecast_override_at ON forecast_override (at DESC, id);
CREATE INDEX forecast_override_opportunity ON forecast_override (opportunity_id, at DESC);

-- The one in force nearest above the owner, so that no read of a deal has to look for it.
ALTER TABLE opportunity ADD COLUMN override jsonb;
