-- What a merge made of its survivor: taken apart, what still stands so is given back, what was written since stays.

ALTER TABLE merge ADD COLUMN after jsonb NOT NULL DEFAULT '{}';
UPDATE merge SET after = jsonb_build_object('profile',
    coalesce(before->(survivor_id::text)->'profile', '{}')
    || coalesce((SELECT jsonb_object_agg(field, before->taken->'profile'->field)
                   FROM jsonb_each_text(choices) AS choice (field, taken)
                  WHERE before->taken->'profile' ? field), '{}'))
    || CASE WHEN record_type = 'contact' THEN '{}'
            ELSE jsonb_build_object('owner_id', owner_id, 'unit_id', unit_id) END;
-- Whom a relation names may be part of somebody else by now.
CREATE INDEX contact_merged ON contact (merged_into_id) WHERE merged_into_id IS NOT NULL;
