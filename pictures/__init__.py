"""Picture files and pictures in memory: read, write, convert, and find them on the command line."""
