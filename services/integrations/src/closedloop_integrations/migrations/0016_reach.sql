-- How people are reached is kept, not worked out for every pair of a contact and somebody who took part.
DROP INDEX contact_reach;
DROP INDEX conversation_waiting;
ALTER TABLE contact
  ADD COLUMN reach text[] NOT NULL GENERATED ALWAYS AS (reach_keys(phones, addresses, ARRAY[wechat_id])) STORED;
ALTER TABLE conversation
  ADD COLUMN reach text[] NOT NULL GENERATED ALWAYS AS (reach_keys(phones, mails, handles)) STORED;
CREATE INDEX contact_reach ON contact USING gin (reach);
CREATE INDEX conversation_waiting ON conversation USING gin (reach);
