-- Sites that give no ETag say when a page was changed: it is asked for under that condition (RFC 9110, 13.1.3), word for word.
ALTER TABLE fetched_page ADD COLUMN last_modified text NOT NULL DEFAULT '';
