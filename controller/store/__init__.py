"""The schema, its migrations and its queries: the only SQL."""
