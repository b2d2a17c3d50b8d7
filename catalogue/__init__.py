"""Rows: what backends, hosted models and licences there are. No torch, no files, no network."""
