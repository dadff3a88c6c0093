-- Who is being written to is found by the person, when they leave or ask to be forgotten.

CREATE INDEX wake_up_running_contact ON wake_up (contact_id) WHERE state = 'running';
