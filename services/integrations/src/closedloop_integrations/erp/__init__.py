"""Raw transactions of the ERP: immutable, understood by mappings, told (S71)."""
