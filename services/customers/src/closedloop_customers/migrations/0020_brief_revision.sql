-- Which briefs a change touches, counted where it happens, whoever writes (see closedloop_chassis.answers). Accounts share 4,096
-- topics, so that an import fills no table; what touches many counts once, for all of them.

CREATE FUNCTION brief_touched(tails text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(tails) > 64 THEN
        PERFORM count_up(ARRAY['briefs']);
    ELSIF cardinality(tails) > 0 THEN
        PERFORM count_up(ARRAY(SELECT 'brief:' || tail FROM unnest(tails) AS tail));
    END IF;
END $$;

-- Of tables that name the account; a change of hands touches both.
CREATE FUNCTION brief_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM brief_touched(ARRAY(SELECT DISTINCT right(account_id::text, 3) FROM made WHERE account_id IS NOT NULL));
    RETURN NULL;
END $$;
CREATE FUNCTION brief_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM brief_touched(ARRAY(SELECT DISTINCT right(account_id::text, 3) FROM old WHERE account_id IS NOT NULL));
    RETURN NULL;
END $$;
CREATE FUNCTION brief_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM brief_touched(ARRAY(SELECT right(account_id::text, 3) FROM old WHERE account_id IS NOT NULL
                                UNION SELECT right(account_id::text, 3) FROM made WHERE account_id IS NOT NULL));
    RETURN NULL;
END $$;
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['health', 'suggestion', 'contact', 'chain_member', 'relation', 'concern', 'account_opportunity'] LOOP
        EXECUTE 'CREATE TRIGGER brief_made AFTER INSERT ON ' || name || ' REFERENCING NEW TABLE AS made
                            FOR EACH STATEMENT EXECUTE FUNCTION brief_made()';
        EXECUTE 'CREATE TRIGGER brief_gone AFTER DELETE ON ' || name || ' REFERENCING OLD TABLE AS old
                            FOR EACH STATEMENT EXECUTE FUNCTION brief_gone()';
        EXECUTE 'CREATE TRIGGER brief_changed AFTER UPDATE ON ' || name || ' REFERENCING OLD TABLE AS old NEW TABLE AS made
                            FOR EACH STATEMENT EXECUTE FUNCTION brief_changed()';
    END LOOP;
END $$;

-- Nobody was shown a brief of an account that was not there.
CREATE FUNCTION brief_account_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM brief_touched(ARRAY(SELECT DISTINCT right(id::text, 3) FROM made));
    RETURN NULL;
END $$;
CREATE TRIGGER brief_account_changed AFTER UPDATE ON account REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION brief_account_changed();

-- Touches and sources are counted with the contact, wherever that is now.
CREATE FUNCTION brief_contact_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM brief_touched(ARRAY(SELECT DISTINCT right(c.account_id::text, 3) FROM made JOIN contact c ON c.id = made.contact_id));
    RETURN NULL;
END $$;
CREATE FUNCTION brief_contact_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM brief_touched(ARRAY(SELECT DISTINCT right(c.account_id::text, 3) FROM old JOIN contact c ON c.id = old.contact_id));
    RETURN NULL;
END $$;
CREATE FUNCTION brief_contact_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM brief_touched(ARRAY(
        SELECT DISTINCT right(c.account_id::text, 3) FROM contact c
         WHERE c.id IN (SELECT contact_id FROM old UNION SELECT contact_id FROM made)));
    RETURN NULL;
END $$;
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['interaction', 'contact_provenance'] LOOP
        EXECUTE 'CREATE TRIGGER brief_contact_made AFTER INSERT ON ' || name || ' REFERENCING NEW TABLE AS made
                            FOR EACH STATEMENT EXECUTE FUNCTION brief_contact_made()';
        EXECUTE 'CREATE TRIGGER brief_contact_gone AFTER DELETE ON ' || name || ' REFERENCING OLD TABLE AS old
                            FOR EACH STATEMENT EXECUTE FUNCTION brief_contact_gone()';
        EXECUTE 'CREATE TRIGGER brief_contact_changed AFTER UPDATE ON ' || name || ' REFERENCING OLD TABLE AS old NEW TABLE AS made
                            FOR EACH STATEMENT EXECUTE FUNCTION brief_contact_changed()';
    END LOOP;
END $$;
