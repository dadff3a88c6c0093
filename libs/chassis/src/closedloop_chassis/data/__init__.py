"""PostgreSQL: connections, one request as one transaction, migrations."""
