-- Process logs of other systems, and what was found about them and about our own funnel.

CREATE TABLE process_event (
    process_log text NOT NULL,
    case_id     text NOT NULL,
    position    integer NOT NULL,
    step        text NOT NULL,
    at          timestamptz NOT NULL,
    resource    text NOT NULL DEFAULT '',
    transition  text NOT NULL DEFAULT '',
    attributes  jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (process_log, case_id, position)
);
CREATE INDEX process_event_at ON process_event (process_log, at, case_id, position);

CREATE TABLE diagnosis (
    id         uuid PRIMARY KEY,
    author_id  text NOT NULL,
    unit_id    text NOT NULL,
    begins     timestamptz NOT NULL,
    ends       timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    -- Diagnosis of the contract.
    data       bytea NOT NULL
);
CREATE INDEX diagnosis_created ON diagnosis (created_at DESC, id);
