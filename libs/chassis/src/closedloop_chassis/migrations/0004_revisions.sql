-- How often what a kept answer speaks of has changed, by topic ("desk:<person>", "boards"…). Whoever changes it counts one
-- up in the same transaction, in a row of its own connection, so that nobody waits for anybody; the sum is the revision.
CREATE TABLE revision (
    topic text NOT NULL,
    shard smallint NOT NULL,
    value integer NOT NULL,
    PRIMARY KEY (topic, shard)
) WITH (fillfactor = 50);

CREATE FUNCTION count_up(topics text[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO revision (topic, shard, value)
    SELECT DISTINCT topic, mod(pg_backend_pid(), 16), 1 FROM unnest(topics) AS topic ORDER BY topic
    ON CONFLICT (topic, shard) DO UPDATE SET value = revision.value + 1
$$;

-- What a unit of work took from memory instead of reading it, said with its commit. Where that is no longer so the unit is
-- undone (40001, as for every collision) and begins again, with its eyes open.
CREATE FUNCTION presumed(so boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF so IS NOT TRUE THEN
        RAISE SQLSTATE '40001' USING MESSAGE = 'presumed otherwise';
    END IF;
END $$;
