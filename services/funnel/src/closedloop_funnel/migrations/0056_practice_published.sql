-- Since when a card is there to be followed. Of those published before, when they were last touched is the nearest that is known.
ALTER TABLE practice_card ADD COLUMN published_at timestamptz;
UPDATE practice_card SET published_at = updated_at WHERE state = 'published';
