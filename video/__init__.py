"""Videos: read as a stream, cut out frame by frame, written so that editors and browsers read the
alpha."""
