"""Fetches the pictures that a catalogue knows only by their addresses."""
