"""A run on a video: its stages, its closed segments, its end."""
