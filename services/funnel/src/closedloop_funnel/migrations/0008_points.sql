-- Points: a double-entry ledger. Every entry is posted to two accounts and sums to nothing; no person is overdrawn.

CREATE TABLE points_account (
    person_id      text PRIMARY KEY,
    balance        bigint NOT NULL DEFAULT 0 CONSTRAINT points_account_not_overdrawn CHECK (balance >= 0),
    -- Lead priority bought and still running.
    priority_until timestamptz
);

CREATE TABLE points_entry (
    id                uuid PRIMARY KEY,
    person_id         text NOT NULL REFERENCES points_account,
    unit_id           text NOT NULL,
    kind              text NOT NULL,
    points            bigint NOT NULL CHECK (points <> 0),
    balance_after     bigint NOT NULL,
    counter_account   text NOT NULL,
    cause_id          text NOT NULL DEFAULT '',
    reason            text NOT NULL DEFAULT '',
    rule              text NOT NULL DEFAULT '',
    rule_version      bigint NOT NULL DEFAULT 0,
    reverses_entry_id uuid REFERENCES points_entry,
    reward_key        text NOT NULL DEFAULT '',
    author_id         text NOT NULL,
    at                timestamptz NOT NULL
);
CREATE INDEX points_entry_at ON points_entry (at DESC, id);
CREATE INDEX points_entry_person ON points_entry (person_id, at DESC);
CREATE INDEX points_entry_reward ON points_entry (reward_key, at) WHERE reward_key <> '';
-- An action earns once, and an entry is reversed once.
CREATE UNIQUE INDEX points_entry_earned ON points_entry (person_id, cause_id) WHERE kind = 'action';
CREATE UNIQUE INDEX points_entry_reversed ON points_entry (reverses_entry_id) WHERE reverses_entry_id IS NOT NULL;

CREATE TABLE points_posting (
    entry_id uuid NOT NULL REFERENCES points_entry,
    -- "person:<id>", or issued, rewards, adjustments
    account  text NOT NULL,
    points   bigint NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (entry_id, account)
);
CREATE INDEX points_posting_account ON points_posting (account, at);

CREATE FUNCTION points_entry_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT sum(points) FROM points_posting WHERE entry_id = NEW.entry_id) <> 0 THEN
        RAISE EXCEPTION USING MESSAGE = 'an entry of points does not balance', ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER points_posting_balances AFTER INSERT OR UPDATE ON points_posting
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION points_entry_balances();
