-- Boards as they were on a day, line by line as they were shown.
CREATE TABLE board_snapshot (
    board     text NOT NULL,
    date      date NOT NULL,
    metric    text NOT NULL,
    period    text NOT NULL,
    holder_id text NOT NULL,
    unit_id   text NOT NULL,
    -- Its place on the board of the whole company.
    position  integer NOT NULL,
    light     smallint NOT NULL,
    taken_at  timestamptz NOT NULL,
    data      bytea NOT NULL,
    PRIMARY KEY (board, date, metric, period, holder_id)
);
CREATE INDEX board_snapshot_position ON board_snapshot (board, metric, period, date, position);
