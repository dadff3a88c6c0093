-- WeCom says that a meeting is or was; what it was has to be asked for, as often as it takes until it has ended.
CREATE TABLE meeting_wanted (
    id     text PRIMARY KEY,
    due_at timestamptz NOT NULL
);
CREATE INDEX meeting_wanted_due ON meeting_wanted (due_at);
INSERT INTO source (name, kind, protocol) VALUES ('wecom_meetings', 'wecom', 'http');
