"""The commands of `rmbg`, one file each: what it takes, and what it does."""
