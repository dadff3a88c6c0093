-- What a target is over time, one row per grain instead of one per cell: ten thousand people's year is a million cells
-- and thirty thousand rows. Cells remain as a view; whoever reads them need not know.

-- Parts of a period in one grain, shared by all targets that are cut alike; the id is a digest of what it says.
CREATE TABLE timeline (
    id          text PRIMARY KEY,
    grain       text NOT NULL,
    periods     text[] NOT NULL,
    start_dates date[] NOT NULL,
    end_dates   date[] NOT NULL
);
CREATE TABLE spread (
    target_id   uuid NOT NULL REFERENCES target ON DELETE CASCADE,
    grain       text NOT NULL,
    timeline_id text NOT NULL REFERENCES timeline,
    minors      bigint[] NOT NULL,
    PRIMARY KEY (target_id, grain)
);

INSERT INTO timeline (id, grain, periods, start_dates, end_dates)
SELECT DISTINCT md5(grain || periods::text || start_dates::text || end_dates::text), grain, periods, start_dates, end_dates
  FROM (SELECT grain, array_agg(period ORDER BY start_date) AS periods,
               array_agg(start_date ORDER BY start_date) AS start_dates, array_agg(end_date ORDER BY start_date) AS end_dates
          FROM cell GROUP BY target_id, grain) AS cut;
INSERT INTO spread (target_id, grain, timeline_id, minors)
SELECT target_id, grain, md5(grain || periods::text || start_dates::text || end_dates::text), minors
  FROM (SELECT target_id, grain, array_agg(period ORDER BY start_date) AS periods,
               array_agg(start_date ORDER BY start_date) AS start_dates, array_agg(end_date ORDER BY start_date) AS end_dates,
               array_agg(minor ORDER BY start_date) AS minors
          FROM cell GROUP BY target_id, grain) AS cut;

DROP TABLE cell;
CREATE VIEW cell AS
SELECT s.target_id, s.grain, part.period, part.start_date, part.end_date, part.minor
  FROM spread s
  JOIN timeline t ON t.id = s.timeline_id
 CROSS JOIN LATERAL unnest(t.periods, t.start_dates, t.end_dates, s.minors) AS part (period, start_date, end_date, minor);
