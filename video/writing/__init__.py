"""Frames written as video files and sequences of pictures."""
