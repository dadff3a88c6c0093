-- Every warning with who has to act, what was done, and whether it worked.

CREATE TABLE warning (
    id               uuid PRIMARY KEY,
    version          bigint NOT NULL,
    kind             text NOT NULL,
    -- open, acted, worked, failed, gone
    state            text NOT NULL,
    -- blue, yellow, red
    light            text NOT NULL,
    -- opportunity, account, person, unit, action_unit
    subject_type     text NOT NULL,
    subject_id       text NOT NULL,
    subject_name     text NOT NULL DEFAULT '',
    -- Who has to act, and the unit the matter belongs to.
    owner_id         text NOT NULL,
    unit_id          text NOT NULL,
    -- [{"name", "value", "unit", "text"}] when it was raised, and at the check.
    evidence         jsonb NOT NULL DEFAULT '[]',
    outcome          jsonb NOT NULL DEFAULT '[]',
    rulebook         text NOT NULL,
    rule             text NOT NULL,
    rule_version     bigint NOT NULL,
    explanation      text NOT NULL DEFAULT '',
    automatic_action text NOT NULL DEFAULT '',
    task_cause_key   text NOT NULL DEFAULT '',
    -- What the check needs to know of how it stood: {"stage_key"}.
    context          jsonb NOT NULL DEFAULT '{}',
    action           text NOT NULL DEFAULT '',
    acted_by         text NOT NULL DEFAULT '',
    raised_at        timestamptz NOT NULL,
    acted_at         timestamptz,
    -- When it is to be checked, then when it was.
    check_at         timestamptz
);
-- One unsettled warning of a kind for a subject.
CREATE UNIQUE INDEX warning_unsettled ON warning (kind, subject_id) WHERE state IN ('open', 'acted');
CREATE INDEX warning_raised ON warning (raised_at DESC, id);
CREATE INDEX warning_owner ON warning (owner_id, raised_at DESC);
CREATE INDEX warning_task ON warning (task_cause_key) WHERE state IN ('open', 'acted');

CREATE FUNCTION note_warning() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO funnel_change (at, kind, record_id, version, opportunity_id, owner_id, unit_id, summary)
    SELECT greatest(n.raised_at, n.acted_at, CASE WHEN n.state IN ('worked', 'failed', 'gone') THEN n.check_at END),
           'warning_changed', n.id, n.version,
           CASE WHEN n.subject_type = 'opportunity' THEN n.subject_id::uuid END, n.owner_id, n.unit_id,
           n.kind || ' ' || n.state
      FROM fresh n;
    RETURN NULL;
END $$;
CREATE TRIGGER warning_added AFTER INSERT ON warning
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION note_warning();
CREATE TRIGGER warning_changed AFTER UPDATE ON warning
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION note_warning();
