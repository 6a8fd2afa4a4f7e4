"""Checkpoints -> vectors; the only room that imports transformers, and only when called."""
