-- Who posts to us has a health as well as who is polled: what came, what was refused, and when last.
INSERT INTO source (name, kind, protocol) VALUES
    ('mail_webhook', 'mail_in', 'webhook'),
    ('tickets', 'tickets', 'webhook'),
    ('behaviours', 'behaviour', 'webhook'),
    ('conversations', 'conversations', 'webhook'),
    ('wecom_archive', 'conversations', 'webhook'),
    ('wecom_callbacks', 'wecom', 'webhook'),
    ('dingtalk_callbacks', 'dingtalk', 'webhook');

-- Calls of an hour; kept as long as runs are.
CREATE TABLE posted_hour (
    source   text NOT NULL REFERENCES source,
    hour     timestamptz NOT NULL,
    received bigint NOT NULL,
    refused  bigint NOT NULL,
    PRIMARY KEY (source, hour)
);
