"""Segments joined to one file, with the source's sound and words."""
