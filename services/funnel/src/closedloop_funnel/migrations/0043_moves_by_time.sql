-- The morning's board of the whole company reads the moves of two months: out of the index alone, without a look at the table.
CREATE INDEX stage_move_time ON stage_move (at, opportunity_id, sequence)
    INCLUDE (pipeline_id, from_stage_key, to_stage_key, direction, dwell_days);
DROP INDEX stage_move_at;
-- Which of its rows everybody sees is known of pages that were looked through. Where rows are only added that has to come sooner
-- than after a fifth more, and costs a look at the new pages alone.
ALTER TABLE stage_move SET (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 5000);
