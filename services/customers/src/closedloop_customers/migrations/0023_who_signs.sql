-- Who writes to a customer is kept with the wake-up: its owner, or who leads them.

UPDATE wake_up SET plan = plan || jsonb_build_object('sender_id', owner_id) WHERE NOT plan ? 'sender_id';
