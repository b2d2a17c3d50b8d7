"""A batch on Ray Data: actors, one budget, one rate."""
