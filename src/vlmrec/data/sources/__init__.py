"""Raw files, one kind a file, to tables of interactions and items with notes on what was done."""
