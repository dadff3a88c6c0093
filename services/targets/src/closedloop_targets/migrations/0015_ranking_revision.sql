-- Whether anything a live ranking is made of has changed since: what was remembered of it is right as long as nothing has.
CREATE FUNCTION ranking_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_up(ARRAY['ranking']);
    RETURN NULL;
END $$;
CREATE TRIGGER ranking_changed AFTER INSERT OR UPDATE OR DELETE ON actual
    FOR EACH STATEMENT EXECUTE FUNCTION ranking_changed();
CREATE TRIGGER ranking_changed AFTER INSERT OR UPDATE OR DELETE ON plan
    FOR EACH STATEMENT EXECUTE FUNCTION ranking_changed();
CREATE TRIGGER ranking_changed AFTER INSERT OR UPDATE OR DELETE ON forecast
    FOR EACH STATEMENT EXECUTE FUNCTION ranking_changed();
CREATE TRIGGER ranking_changed AFTER INSERT OR UPDATE OR DELETE ON board_snapshot
    FOR EACH STATEMENT EXECUTE FUNCTION ranking_changed();
