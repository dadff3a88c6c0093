-- Files kept as evidence, stored once by content; what a picture says of itself and resembles.

CREATE TABLE attachment_content (
    sha256  bytea PRIMARY KEY,
    content bytea NOT NULL
);
-- Pictures and papers are compressed already.
ALTER TABLE attachment_content ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE attachment (
    id           uuid PRIMARY KEY,
    sha256       bytea NOT NULL REFERENCES attachment_content,
    file_name    text NOT NULL,
    content_type text NOT NULL,
    size_bytes   bigint NOT NULL,
    author_id    text NOT NULL,
    unit_id      text NOT NULL,
    uploaded_at  timestamptz NOT NULL,
    -- Null for what is no picture.
    taken_at     timestamptz,
    latitude     float8,
    longitude    float8,
    device       text NOT NULL DEFAULT '',
    software     text NOT NULL DEFAULT '',
    width        integer,
    height       integer,
    -- Perceptual hash, 64 bits.
    picture      bigint
);
-- A quarter of the hash each: pictures that differ in three bits or fewer share one of the four.
CREATE INDEX attachment_picture_0 ON attachment ((picture & 65535)) WHERE picture IS NOT NULL;
CREATE INDEX attachment_picture_1 ON attachment (((picture >> 16) & 65535)) WHERE picture IS NOT NULL;
CREATE INDEX attachment_picture_2 ON attachment (((picture >> 32) & 65535)) WHERE picture IS NOT NULL;
CREATE INDEX attachment_picture_3 ON attachment (((picture >> 48) & 65535)) WHERE picture IS NOT NULL;

-- Which records a file is attached to: who may read one of them may read the file.
CREATE TABLE attachment_use (
    attachment_id uuid NOT NULL REFERENCES attachment,
    -- activity, opportunity, quote, contract, proposal
    record_kind   text NOT NULL,
    record_id     uuid NOT NULL,
    PRIMARY KEY (attachment_id, record_kind, record_id)
);
CREATE INDEX attachment_use_record ON attachment_use (record_kind, record_id);
