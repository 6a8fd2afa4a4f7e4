"""Families of vision-language models: what each architecture needs, one file each."""
