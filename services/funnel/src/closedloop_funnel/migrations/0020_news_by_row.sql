-- Most changes of a deal are no news (who was in touch last, a margin), and most calls change one row: whether anything is
-- noted is decided before a function is called. Tables of old and new rows cost more than the change they told of.

-- Whose pipelines a change touches, counted where it happens, whoever writes (see closedloop_chassis.answers): everybody's who
-- sees the whole company, those of the deal's unit, of its owner and of who takes part. "deals" comes first, so that two who
-- count in the same row wait for each other there, and nowhere else.
CREATE FUNCTION deal_topics(unit text, owner text, people text[]) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN ARRAY['deals', 'deals:' || unit, 'deals@' || owner]
           || CASE WHEN people = '{}' THEN people ELSE ARRAY(SELECT 'deals@' || person FROM unnest(people) AS person) END;
END $$;

CREATE OR REPLACE FUNCTION note_opportunity_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO funnel_change (at, kind, record_id, version, opportunity_id, account_id, owner_id, unit_id,
                               participant_ids, pipeline_id, from_stage_key, stage_key, amount_minor, currency, summary)
    SELECT updated_at, 'opportunity_created', id, version, id, account_id, owner_id, unit_id, participant_ids,
           pipeline_id, stage_key, stage_key, amount_minor, currency, name
      FROM fresh WHERE NOT imported;
    PERFORM count_up(ARRAY(SELECT DISTINCT topic
                             FROM fresh, unnest(deal_topics(unit_id, owner_id, participant_ids)) AS topic));
    RETURN NULL;
END $$;

DROP TRIGGER opportunity_changed ON opportunity;
CREATE FUNCTION note_deal_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO funnel_change (at, kind, record_id, version, opportunity_id, account_id, owner_id, unit_id,
                               participant_ids, pipeline_id, from_stage_key, stage_key, amount_minor, currency, summary)
    VALUES (NEW.updated_at,
            CASE WHEN OLD.state <> 'open' AND NEW.state = 'open' THEN 'opportunity_reopened'
                 WHEN OLD.state = 'open' AND NEW.state <> 'open' THEN 'opportunity_closed'
                 WHEN OLD.stage_key <> NEW.stage_key THEN 'opportunity_advanced'
                 ELSE 'opportunity_updated' END,
            NEW.id, NEW.version, NEW.id, NEW.account_id, NEW.owner_id, NEW.unit_id, NEW.participant_ids, NEW.pipeline_id,
            OLD.stage_key, NEW.stage_key, NEW.amount_minor, NEW.currency, NEW.name);
    PERFORM count_up(
        deal_topics(NEW.unit_id, NEW.owner_id, NEW.participant_ids)
        || CASE WHEN (OLD.unit_id, OLD.owner_id, OLD.participant_ids) = (NEW.unit_id, NEW.owner_id, NEW.participant_ids)
                THEN '{}' ELSE deal_topics(OLD.unit_id, OLD.owner_id, OLD.participant_ids) END);
    RETURN NULL;
END $$;
CREATE TRIGGER opportunity_changed AFTER UPDATE ON opportunity
    FOR EACH ROW WHEN (NEW.version <> OLD.version) EXECUTE FUNCTION note_deal_changed();
DROP FUNCTION note_opportunity_changed();

DROP TRIGGER activity_added ON activity;
DROP TRIGGER activity_done ON activity;
CREATE FUNCTION note_contact() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO funnel_change (at, kind, record_id, version, opportunity_id, account_id, owner_id, unit_id,
                               participant_ids, summary)
    VALUES (NEW.updated_at, 'activity_logged', NEW.id, NEW.version, NEW.opportunity_id, NEW.account_id, NEW.owner_id,
            NEW.unit_id, NEW.participant_ids, NEW.kind);
    RETURN NULL;
END $$;
CREATE TRIGGER activity_added AFTER INSERT ON activity
    FOR EACH ROW WHEN (NEW.state = 'done' AND current_setting('closedloop.import', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION note_contact();
CREATE TRIGGER activity_done AFTER UPDATE ON activity
    FOR EACH ROW WHEN (NEW.state = 'done' AND NEW.version <> OLD.version
                       AND current_setting('closedloop.import', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION note_contact();
DROP FUNCTION note_activity();
DROP FUNCTION note_activity_done();

-- Names of accounts stand on lines of many; told by the thousand, they count once.
CREATE FUNCTION deal_account_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count_up(ARRAY['accounts']);
    RETURN NULL;
END $$;
CREATE TRIGGER deal_account_changed AFTER INSERT OR UPDATE ON account
    FOR EACH STATEMENT EXECUTE FUNCTION deal_account_changed();
