-- Short messages leave by a gateway of their own.
INSERT INTO source (name, kind, protocol) VALUES ('sms', 'sms', 'http');
