"""Video files, read frame by frame."""
