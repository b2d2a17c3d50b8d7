"""Whole videos at a host."""
