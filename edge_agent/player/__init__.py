"""The child process that owns the sound card; it knows nobody above it."""
