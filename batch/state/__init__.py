"""What a batch has done so far, kept beside its results."""
