-- Whom a deal is shown to besides its owner and unit; most have nobody.
CREATE INDEX opportunity_participants ON opportunity USING gin (participant_ids) WHERE participant_ids <> '{}';
