-- What was looked at in the data and found wanting, by whose it is: a day's, and a month's as it ended (S80, S83).
CREATE TABLE data_check_made (
    -- day, month
    span    text NOT NULL,
    -- The day; of a month its first one.
    day     date NOT NULL,
    made_at timestamptz NOT NULL,
    PRIMARY KEY (span, day)
);

CREATE TABLE data_check (
    span      text NOT NULL,
    day       date NOT NULL,
    record    text NOT NULL,
    -- completeness, consistency, timeliness
    dimension text NOT NULL,
    -- The field, or the agreement.
    aspect   text NOT NULL,
    owner_id  text NOT NULL,
    unit_id   text NOT NULL,
    examined  bigint NOT NULL,
    failed    bigint NOT NULL,
    -- Of systems that should agree: how far they are apart, and what they speak of.
    apart     float8 NOT NULL,
    whole     float8 NOT NULL,
    examples  text[] NOT NULL,
    PRIMARY KEY (span, day, record, dimension, aspect, owner_id, unit_id),
    FOREIGN KEY (span, day) REFERENCES data_check_made
);
