"""What the package remembers of paid work: the journal of jobs and the cache of results."""
