-- What changed, in an order that a reader can follow without a gap.

-- (xid, seq) is that order: of a transaction all is visible or nothing, and below the oldest one still running nothing
-- can be added any more.
CREATE TABLE funnel_change (
    xid             xid8 NOT NULL DEFAULT pg_current_xact_id(),
    seq             bigint GENERATED ALWAYS AS IDENTITY,
    at              timestamptz NOT NULL,
    kind            text NOT NULL,
    record_id       text NOT NULL,
    version         bigint NOT NULL,
    opportunity_id  uuid,
    account_id      uuid,
    owner_id        text NOT NULL DEFAULT '',
    unit_id         text NOT NULL DEFAULT '',
    participant_ids text[] NOT NULL DEFAULT '{}',
    pipeline_id     text NOT NULL DEFAULT '',
    from_stage_key  text NOT NULL DEFAULT '',
    stage_key       text NOT NULL DEFAULT '',
    amount_minor    bigint,
    currency        text NOT NULL DEFAULT '',
    summary         text NOT NULL DEFAULT '',
    PRIMARY KEY (xid, seq)
);
CREATE INDEX funnel_change_at ON funnel_change (at);

-- Changes up to here are kept no longer.
CREATE TABLE funnel_change_forgotten (
    xid xid8 NOT NULL,
    seq bigint NOT NULL
);
INSERT INTO funnel_change_forgotten VALUES ('0', 0);

-- Imported history is not news; what becomes of it is.
CREATE FUNCTION note_opportunity_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO funnel_change (at, kind, record_id, version, opportunity_id, account_id, owner_id, unit_id,
                               participant_ids, pipeline_id, from_stage_key, stage_key, amount_minor, currency, summary)
    SELECT updated_at, 'opportunity_created', id, version, id, account_id, owner_id, unit_id, participant_ids,
           pipeline_id, stage_key, stage_key, amount_minor, currency, name
      FROM fresh WHERE NOT imported;
    RETURN NULL;
END $$;
CREATE TRIGGER opportunity_added AFTER INSERT ON opportunity
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION note_opportunity_added();

CREATE FUNCTION note_opportunity_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO funnel_change (at, kind, record_id, version, opportunity_id, account_id, owner_id, unit_id,
                               participant_ids, pipeline_id, from_stage_key, stage_key, amount_minor, currency, summary)
    SELECT n.updated_at,
           CASE WHEN o.state <> 'open' AND n.state = 'open' THEN 'opportunity_reopened'
                WHEN o.state = 'open' AND n.state <> 'open' THEN 'opportunity_closed'
                WHEN o.stage_key <> n.stage_key THEN 'opportunity_advanced'
                ELSE 'opportunity_updated' END,
           n.id, n.version, n.id, n.account_id, n.owner_id, n.unit_id, n.participant_ids, n.pipeline_id,
           o.stage_key, n.stage_key, n.amount_minor, n.currency, n.name
      FROM fresh n JOIN old_rows o USING (id) WHERE n.version <> o.version;
    RETURN NULL;
END $$;
CREATE TRIGGER opportunity_changed AFTER UPDATE ON opportunity
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION note_opportunity_changed();

CREATE FUNCTION note_quote() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO funnel_change (at, kind, record_id, version, opportunity_id, account_id, owner_id, unit_id,
                               participant_ids, pipeline_id, from_stage_key, stage_key, amount_minor, currency, summary)
    SELECT n.updated_at, 'quote_changed', n.id, n.revision, o.id, o.account_id, o.owner_id, o.unit_id,
           o.participant_ids, o.pipeline_id, o.stage_key, o.stage_key, n.total_minor, n.currency,
           n.number || ' ' || n.state
      FROM fresh n JOIN opportunity o ON o.id = n.opportunity_id;
    RETURN NULL;
END $$;
CREATE TRIGGER quote_added AFTER INSERT ON quote
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION note_quote();
CREATE TRIGGER quote_changed AFTER UPDATE ON quote
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION note_quote();

CREATE FUNCTION note_contract() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO funnel_change (at, kind, record_id, version, opportunity_id, account_id, owner_id, unit_id,
                               participant_ids, pipeline_id, from_stage_key, stage_key, amount_minor, currency, summary)
    SELECT n.updated_at, 'contract_changed', n.id, n.revision, o.id, o.account_id, n.owner_id, n.unit_id,
           o.participant_ids, o.pipeline_id, o.stage_key, o.stage_key, n.amount_minor, n.currency,
           n.number || ' ' || n.state
      FROM fresh n JOIN opportunity o ON o.id = n.opportunity_id;
    RETURN NULL;
END $$;
CREATE TRIGGER contract_added AFTER INSERT ON contract
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION note_contract();
CREATE TRIGGER contract_changed AFTER UPDATE ON contract
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION note_contract();

CREATE FUNCTION note_proposal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO funnel_change (at, kind, record_id, version, opportunity_id, account_id, owner_id, unit_id,
                               participant_ids, pipeline_id, from_stage_key, stage_key, summary)
    SELECT n.updated_at, 'proposal_submitted', n.id, n.version, o.id, o.account_id, n.owner_id, n.unit_id,
           o.participant_ids, o.pipeline_id, o.stage_key, o.stage_key, n.title
      FROM fresh n JOIN opportunity o ON o.id = n.opportunity_id;
    RETURN NULL;
END $$;
CREATE TRIGGER proposal_added AFTER INSERT ON proposal
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION note_proposal();

-- What was said stays in the log: everybody who may see that there was a contact may not read it here.
CREATE FUNCTION note_activity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('closedloop.import', true) = 'on' THEN
        RETURN NULL;
    END IF;
    INSERT INTO funnel_change (at, kind, record_id, version, opportunity_id, account_id, owner_id, unit_id,
                               participant_ids, summary)
    SELECT n.updated_at, 'activity_logged', n.id, n.version, n.opportunity_id, n.account_id, n.owner_id, n.unit_id,
           n.participant_ids, n.kind
      FROM fresh n WHERE n.state = 'done';
    RETURN NULL;
END $$;
CREATE TRIGGER activity_added AFTER INSERT ON activity
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION note_activity();
CREATE FUNCTION note_activity_done() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('closedloop.import', true) = 'on' THEN
        RETURN NULL;
    END IF;
    INSERT INTO funnel_change (at, kind, record_id, version, opportunity_id, account_id, owner_id, unit_id,
                               participant_ids, summary)
    SELECT n.updated_at, 'activity_logged', n.id, n.version, n.opportunity_id, n.account_id, n.owner_id, n.unit_id,
           n.participant_ids, n.kind
      FROM fresh n JOIN old_rows o USING (id) WHERE n.state = 'done' AND n.version <> o.version;
    RETURN NULL;
END $$;
CREATE TRIGGER activity_done AFTER UPDATE ON activity
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION note_activity_done();

CREATE FUNCTION note_finding() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO funnel_change (at, kind, record_id, version, owner_id, unit_id, summary)
    SELECT n.created_at, 'finding_raised', n.id, n.version, n.owner_id, n.unit_id, n.kind FROM fresh n;
    RETURN NULL;
END $$;
CREATE TRIGGER finding_added AFTER INSERT ON finding
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION note_finding();

CREATE FUNCTION note_breaker() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO funnel_change (at, kind, record_id, version, owner_id, unit_id, summary)
    SELECT coalesce(n.closed_at, n.opened_at), 'breaker_changed', n.person_id, n.version, n.person_id, n.unit_id, n.state
      FROM fresh n;
    RETURN NULL;
END $$;
CREATE TRIGGER breaker_added AFTER INSERT ON breaker
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION note_breaker();
CREATE TRIGGER breaker_changed AFTER UPDATE ON breaker
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION note_breaker();
