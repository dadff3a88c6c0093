"""Company packs: organisation, fields, pipelines, flows, permissions, rules and templates as one reviewed folder of YAML."""
