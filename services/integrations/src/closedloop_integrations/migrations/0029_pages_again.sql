-- Notices are corrected without a word in the list: recent ones are looked at again. `published_at` of what was had, as the list said it;
-- `content` is the SHA-256 of the page as it was last had.
ALTER TABLE fetched_page ADD COLUMN published_at timestamptz, ADD COLUMN content text NOT NULL DEFAULT '';
CREATE INDEX fetched_page_again ON fetched_page (source, fetched_at) WHERE published_at IS NOT NULL;
