CREATE INDEX wake_up_message_sent ON wake_up_message (sent_at) WHERE sent_at IS NOT NULL;
