"""The life of one paid picture, from the journal's first word to the fetched result."""
