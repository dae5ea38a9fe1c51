"""Alembic's entry: runs the migrations against the URL that `migrate` gives."""

from alembic import context

from controller.store.database import open_engine
from controller.store.schema import metadata

url: str = context.config.attributes["url"]
engine = open_engine(url)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
