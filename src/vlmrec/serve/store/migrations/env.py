"""Run by Alembic: applies the steps over the connection that `vlmrec.serve.store.schema` gives."""

from alembic import context

from vlmrec.serve.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
