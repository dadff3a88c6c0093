-- One message of a key goes to an address once, whether a contact was named or the address alone. What went out twice
-- before this was so stays as it is.
ALTER TABLE delivery ADD COLUMN repeated boolean NOT NULL DEFAULT false;
UPDATE delivery SET repeated = true
 WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY dedupe_key, channel, address ORDER BY requested_at, id) AS n
                                FROM delivery WHERE address <> '') AS numbered WHERE n > 1);
CREATE UNIQUE INDEX delivery_addressed ON delivery (dedupe_key, channel, address) WHERE address <> '' AND NOT repeated;
