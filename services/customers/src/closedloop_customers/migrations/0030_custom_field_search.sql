-- Accounts are found by the company's own fields (S100). Who has none takes no room, and costs no import anything.

CREATE INDEX account_custom_fields ON account USING gin ((profile->'custom_fields') jsonb_path_ops)
    WHERE profile ? 'custom_fields';
