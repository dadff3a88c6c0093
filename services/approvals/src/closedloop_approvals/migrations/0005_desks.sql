-- Whose work list a change touches, counted where it happens, whoever writes (see closedloop_chassis.answers).

CREATE FUNCTION desks(people text[]) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(DISTINCT 'desk:' || person) FROM unnest(people) AS person WHERE person <> ''
$$;

CREATE FUNCTION approval_request_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_up(desks(array_agg(person)))
       FROM (SELECT submitter_id FROM made UNION ALL SELECT unnest(participants) FROM made) AS people (person);
    RETURN NULL;
END $$;
CREATE FUNCTION approval_request_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_up(desks(array_agg(person)))
       FROM (SELECT submitter_id FROM old UNION ALL SELECT unnest(participants) FROM old
             UNION ALL SELECT submitter_id FROM made UNION ALL SELECT unnest(participants) FROM made) AS people (person);
    RETURN NULL;
END $$;
CREATE TRIGGER approval_request_made AFTER INSERT ON approval_request REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION approval_request_made();
CREATE TRIGGER approval_request_changed AFTER UPDATE ON approval_request REFERENCING OLD TABLE AS old NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION approval_request_changed();

CREATE FUNCTION task_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_up(desks(array_agg(assignee_id))) FROM made;
    RETURN NULL;
END $$;
CREATE FUNCTION task_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_up(desks(array_agg(assignee_id))) FROM (SELECT assignee_id FROM old UNION ALL SELECT assignee_id FROM made) AS people;
    RETURN NULL;
END $$;
CREATE TRIGGER task_made AFTER INSERT ON task REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION task_made();
CREATE TRIGGER task_changed AFTER UPDATE ON task REFERENCING OLD TABLE AS old NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION task_changed();

-- Whose desk lies on whose list is the delegate's.
CREATE FUNCTION delegation_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_up(desks(array_agg(delegate_id))) FROM made;
    RETURN NULL;
END $$;
CREATE FUNCTION delegation_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_up(desks(array_agg(delegate_id))) FROM (SELECT delegate_id FROM old UNION ALL SELECT delegate_id FROM made) AS people;
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
