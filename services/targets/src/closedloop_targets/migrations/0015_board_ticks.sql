-- How often what boards are made of has changed: a live ranking in Redis is right as long as this number is the same.
-- Many rows, so that writers do not wait for each other; a number only grows, and becomes visible with what it counts.
CREATE TABLE board_tick (
    shard integer PRIMARY KEY,
    ticks bigint NOT NULL
) WITH (fillfactor = 50);
INSERT INTO board_tick SELECT shard, 0 FROM generate_series(0, 1023) AS shard;
-- Tells the boards of this database from those of another one behind the same Redis.
CREATE TABLE board_epoch (epoch uuid NOT NULL);
INSERT INTO board_epoch VALUES (gen_random_uuid());

CREATE FUNCTION tick_boards() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE board_tick SET ticks = ticks + 1 WHERE shard = mod(pg_backend_pid(), 1024);
    RETURN NULL;
END $$;
CREATE TRIGGER tick_boards AFTER INSERT OR UPDATE OR DELETE ON actual FOR EACH STATEMENT EXECUTE FUNCTION tick_boards();
CREATE TRIGGER tick_boards AFTER INSERT OR UPDATE OR DELETE ON plan FOR EACH STATEMENT EXECUTE FUNCTION tick_boards();
CREATE TRIGGER tick_boards AFTER INSERT OR UPDATE OR DELETE ON forecast FOR EACH STATEMENT EXECUTE FUNCTION tick_boards();
CREATE TRIGGER tick_boards AFTER INSERT OR UPDATE OR DELETE ON board_snapshot
    FOR EACH STATEMENT EXECUTE FUNCTION tick_boards();
