-- Logs, quotes and contracts are found by the company's own fields, as deals are (S100). Who has none takes no room.

CREATE INDEX activity_custom_fields ON activity USING gin (custom_fields jsonb_path_ops) WHERE custom_fields <> '{}';
CREATE INDEX quote_custom_fields ON quote USING gin (custom_fields jsonb_path_ops) WHERE custom_fields <> '{}';
CREATE INDEX contract_custom_fields ON contract USING gin (custom_fields jsonb_path_ops) WHERE custom_fields <> '{}';
