-- What a former system decided, and how long every signature took.

-- Decided elsewhere: it is shown and counted, and clears nothing.
ALTER TABLE approval_request ADD COLUMN imported boolean NOT NULL DEFAULT false;
-- What silence means where it decides, in the policies' words.
ALTER TABLE approval_request ADD COLUMN silence text NOT NULL DEFAULT '';
DROP INDEX approval_request_version_key;
CREATE UNIQUE INDEX approval_request_version_key ON approval_request (origin, kind, subject_id, subject_version)
    WHERE state <> 'recalled' AND NOT imported;
-- Every submission and every clearance asks for all versions of one subject, recalled ones too.
CREATE INDEX approval_request_subject ON approval_request (origin, kind, subject_id);
CREATE UNIQUE INDEX approval_request_import_key
    ON approval_request ((provenance ->> 'source'), (provenance ->> 'source_id')) WHERE imported;
CREATE INDEX approval_request_closed ON approval_request (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX approval_request_still_open ON approval_request (opened_at) WHERE closed_at IS NULL;
-- Whose signature is asked, or still to come for when they leave. One index: beside a second one over the same rows the
-- planner reads all that is asked of anybody.
DROP INDEX approval_signer_asked;
CREATE INDEX approval_signer_open ON approval_signer (person_id, state) WHERE state IN ('asked', 'waiting', 'returned');

-- Made of the text that was hashed, so that no figure can say anything else than the chain. Times are UTC in one format,
-- hence in order as text; a cast to timestamptz would depend on settings.
ALTER TABLE approval_trail
    ADD COLUMN time         text COLLATE "C" GENERATED ALWAYS AS (content::jsonb ->> 'time') STORED,
    ADD COLUMN actor_id     text GENERATED ALWAYS AS (content::jsonb ->> 'actor_id') STORED,
    ADD COLUMN action       text GENERATED ALWAYS AS (content::jsonb ->> 'action') STORED,
    ADD COLUMN took_seconds double precision GENERATED ALWAYS AS ((content::jsonb ->> 'took_seconds')::double precision) STORED,
    ADD COLUMN in_time      boolean GENERATED ALWAYS AS ((content::jsonb ->> 'in_time')::boolean) STORED;
CREATE INDEX approval_trail_answers ON approval_trail (time) WHERE took_seconds IS NOT NULL;

-- A request that is gone would take its chain along: nothing is deleted here either.
CREATE FUNCTION approval_request_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a request is closed, never deleted';
END
$$;
CREATE TRIGGER approval_request_stays BEFORE DELETE OR TRUNCATE ON approval_request
    FOR EACH STATEMENT EXECUTE FUNCTION approval_request_stays();

-- The loop report reads a period of all tasks.
CREATE INDEX task_raised ON task (raised_at);
