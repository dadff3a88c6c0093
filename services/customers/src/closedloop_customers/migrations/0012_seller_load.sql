-- What each seller has, kept by every assignment in its own transaction: a choice reads one row per seller instead of
-- counting what all of them ever got, and two choices meet only where they choose the same person.

ALTER TABLE seller
    ADD COLUMN open_leads      integer NOT NULL DEFAULT 0,
    ADD COLUMN owned_accounts  integer NOT NULL DEFAULT 0,
    ADD COLUMN last_lead_at    timestamptz,
    ADD COLUMN last_account_at timestamptz,
    -- What the rules allowed when they chose last; null since a person decided.
    ADD COLUMN most_leads      integer,
    ADD COLUMN most_accounts   integer,
    ADD CONSTRAINT seller_lead_capacity CHECK (open_leads <= most_leads),
    ADD CONSTRAINT seller_account_capacity CHECK (owned_accounts <= most_accounts);
-- Room for the next versions of a row on its own page.
ALTER TABLE seller SET (fillfactor = 50);

INSERT INTO seller (person_id, open_leads, owned_accounts, last_lead_at, last_account_at)
SELECT owner_id,
       count(*) FILTER (WHERE record_type = 'lead' AND ended_at IS NULL),
       count(*) FILTER (WHERE record_type = 'account' AND ended_at IS NULL),
       max(assigned_at) FILTER (WHERE record_type = 'lead'),
       max(assigned_at) FILTER (WHERE record_type = 'account')
  FROM assignment WHERE owner_id <> '' GROUP BY owner_id
ON CONFLICT (person_id) DO UPDATE
   SET open_leads = excluded.open_leads, owned_accounts = excluded.owned_accounts,
       last_lead_at = excluded.last_lead_at, last_account_at = excluded.last_account_at;

-- The old load index is what HELD_BY reads; the one by time served only the last assignment of each.
DROP INDEX assignment_owner;
CREATE INDEX assignment_owner ON assignment (owner_id, id);

-- Profiles, leave, suspensions and priority: another number whenever any of them
-- changes, so that a process need not read them each time.
CREATE TABLE seller_revision (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    value bigint NOT NULL
);
INSERT INTO seller_revision (value) VALUES (0);
