"""The command line: one verb a file, each a plain function that `main` registers."""
