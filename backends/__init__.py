"""Everything that can turn a frame into a matte; `catalogue/backends.py` lists it."""
