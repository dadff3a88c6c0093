-- What was read in one go: a turn of a poll that asked outside, a file, a posted batch, an import.
CREATE TABLE run (
    id          uuid PRIMARY KEY,
    source      text NOT NULL,
    -- Empty for what was handed in.
    poll        text NOT NULL DEFAULT '',
    started_at  timestamptz NOT NULL,
    ended_at    timestamptz NOT NULL,
    read        integer NOT NULL,
    created     integer NOT NULL,
    updated     integer NOT NULL,
    rejected    integer NOT NULL,
    quarantined integer NOT NULL,
    error       text NOT NULL DEFAULT '',
    brought_by  text NOT NULL DEFAULT '',
    file_name   text NOT NULL DEFAULT '',
    sha256      text NOT NULL DEFAULT ''
);
CREATE INDEX run_time ON run (started_at DESC, id DESC);
CREATE INDEX run_source ON run (source, started_at DESC, id DESC);

-- In which run an item was set aside, and where in it; of what was set aside before, nobody knows.
ALTER TABLE quarantine ADD COLUMN run_id uuid, ADD COLUMN position integer NOT NULL DEFAULT 0;
CREATE INDEX quarantine_run ON quarantine (run_id, id DESC) WHERE run_id IS NOT NULL;
