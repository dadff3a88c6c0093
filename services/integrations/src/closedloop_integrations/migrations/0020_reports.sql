-- What boards outside read, as against callers of the API: views in a schema of their own, with names and no other
-- personal data. Whoever is let into the schema sees nothing else of this database.
CREATE SCHEMA report;

-- Messages that left the house, without to whom and what.
CREATE VIEW report.delivery AS
SELECT d.requested_at, d.origin, d.purpose, d.channel, d.state, d.reason, d.attempts, d.sent_at, d.ended_at FROM delivery d;

-- Customers' mail, by what it was.
CREATE VIEW report.mail AS
SELECT m.received_at, m.direction, m.nature, m.account_id IS NOT NULL AS known FROM mail m;

-- Procurement notices that speak of a customer.
CREATE VIEW report.notice_match AS
SELECT m.matched_at, m.state, m.confidence, n.kind, n.publish_date, n.region, n.buyer
  FROM notice_match m JOIN notice n ON n.id = m.notice_id
 WHERE NOT m.superseded;

-- What was read from outside, in one go each.
CREATE VIEW report.run AS
SELECT r.source, r.poll, r.started_at, r.ended_at, r.read, r.created, r.updated, r.rejected, r.quarantined,
       r.error <> '' AS failed
  FROM run r;
