-- A decision changes a row each of these; with room on its page the new version stays there, and no index hears of it.
ALTER TABLE approval_request SET (fillfactor = 80);
ALTER TABLE approval_step SET (fillfactor = 80);
ALTER TABLE approval_signer SET (fillfactor = 80);
