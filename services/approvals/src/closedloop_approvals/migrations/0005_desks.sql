-- Whose work list a change touches, counted where it happens, whoever writes (see closedloop_chassis.answers). What is closed
-- and was closed before lies on nobody's list.

CREATE FUNCTION approval_request_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO revision (topic, shard, value)
    SELECT DISTINCT 'desk:' || person, mod(pg_backend_pid(), 16), 1
      FROM made, unnest(participants || submitter_id) AS person WHERE state IN ('pending', 'returned') AND person <> '' ORDER BY 1
    ON CONFLICT (topic, shard) DO UPDATE SET value = revision.value + 1;
    RETURN NULL;
END $$;
CREATE FUNCTION approval_request_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO revision (topic, shard, value)
    SELECT DISTINCT 'desk:' || person, mod(pg_backend_pid(), 16), 1
      FROM (SELECT state, participants || submitter_id AS people FROM old
            UNION ALL SELECT state, participants || submitter_id FROM made) AS request, unnest(people) AS person
     WHERE state IN ('pending', 'returned') AND person <> '' ORDER BY 1
    ON CONFLICT (topic, shard) DO UPDATE SET value = revision.value + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER approval_request_made AFTER INSERT ON approval_request REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION approval_request_made();
CREATE TRIGGER approval_request_changed AFTER UPDATE ON approval_request REFERENCING OLD TABLE AS old NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION approval_request_changed();

CREATE FUNCTION task_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_up(array_agg(DISTINCT 'desk:' || assignee_id)) FROM made;
    RETURN NULL;
END $$;
CREATE FUNCTION task_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_up(array_agg(DISTINCT 'desk:' || assignee_id))
       FROM (SELECT assignee_id FROM old UNION ALL SELECT assignee_id FROM made) AS people;
    RETURN NULL;
END $$;
CREATE TRIGGER task_made AFTER INSERT ON task REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION task_made();
CREATE TRIGGER task_changed AFTER UPDATE ON task REFERENCING OLD TABLE AS old NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION task_changed();

-- Whose desk lies on whose list is the delegate's.
CREATE FUNCTION delegation_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_up(array_agg(DISTINCT 'desk:' || delegate_id)) FROM made;
    RETURN NULL;
END $$;
CREATE FUNCTION delegation_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_up(array_agg(DISTINCT 'desk:' || delegate_id))
       FROM (SELECT delegate_id FROM old UNION ALL SELECT delegate_id FROM made) AS people;
    RETURN NULL;
END $$;
CREATE TRIGGER delegation_made AFTER INSERT ON delegation REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION delegation_made();
CREATE TRIGGER delegation_changed AFTER UPDATE ON delegation REFERENCING OLD TABLE AS old NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION delegation_changed();

-- Names of accounts stand on lists of many; told by the thousand, they count once.
CREATE FUNCTION account_named() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_up(ARRAY['accounts']);
    RETURN NULL;
END $$;
CREATE TRIGGER account_named AFTER INSERT OR UPDATE ON account FOR EACH STATEMENT EXECUTE FUNCTION account_named();
