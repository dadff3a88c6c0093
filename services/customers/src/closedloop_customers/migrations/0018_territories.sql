-- Territories, effective-dated: what holds on a day is the latest version that had begun by then.

CREATE TABLE territory (
    id       uuid PRIMARY KEY,
    -- First day no more in force.
    ended_on date,
    version  bigint NOT NULL
);

CREATE TABLE territory_version (
    territory_id uuid NOT NULL REFERENCES territory ON DELETE CASCADE,
    effective_on date NOT NULL,
    -- TerritoryProfile of the contract.
    profile      jsonb NOT NULL,
    reason       text NOT NULL,
    made_by      text NOT NULL,
    made_at      timestamptz NOT NULL,
    PRIMARY KEY (territory_id, effective_on)
);

-- Whether a record lies in a territory: it is named there or below, or it is named nowhere else and fits what every
-- level from the root down asks for. {"named": [], "elsewhere": [], "only_named": false,
-- "levels": [{"regions", "industries", "lines"}]}
CREATE FUNCTION in_territory(spec jsonb, id uuid, region text, industry text, lines jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT spec->'named' ? id::text
        OR NOT (spec->>'only_named')::boolean AND NOT (spec->'elsewhere' ? id::text) AND NOT EXISTS (
            SELECT FROM jsonb_array_elements(spec->'levels') AS level
             WHERE NOT (jsonb_array_length(level->'regions') = 0 OR EXISTS (
                        SELECT FROM jsonb_array_elements_text(level->'regions') AS code WHERE starts_with(region, code)))
                OR NOT (jsonb_array_length(level->'industries') = 0 OR EXISTS (
                        SELECT FROM jsonb_array_elements_text(level->'industries') AS code
                         WHERE industry = code OR starts_with(industry, code || '.')))
                OR NOT (jsonb_array_length(level->'lines') = 0 OR EXISTS (
                        SELECT FROM jsonb_array_elements_text(level->'lines') AS line WHERE lines ? line)))
$$;
