"""Everything that can turn a frame into a matte; `catalogue.py` lists it."""
