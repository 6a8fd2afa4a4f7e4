"""Catalogue -> item vectors: a learned table, frozen content, or a VLM; and their cache."""
