-- Contacts and leads are found by the company's own fields, as accounts are (S100). Who has none takes no room, and costs no
-- import anything.

CREATE INDEX contact_custom_fields ON contact USING gin ((profile->'custom_fields') jsonb_path_ops)
    WHERE profile ? 'custom_fields';
CREATE INDEX lead_custom_fields ON lead USING gin ((profile->'custom_fields') jsonb_path_ops)
    WHERE profile ? 'custom_fields';
