-- Whether any board was taken since (see closedloop_chassis.answers).
CREATE FUNCTION board_taken() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_up(ARRAY['boards']);
    RETURN NULL;
END $$;
CREATE TRIGGER board_taken AFTER INSERT OR UPDATE OR DELETE ON board_snapshot
    FOR EACH STATEMENT EXECUTE FUNCTION board_taken();
