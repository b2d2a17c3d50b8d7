"""The networks of BRIA's RMBG-1.4 (IS-Net) and RMBG-2.0 (BiRefNet), in plain torch.

Written from the papers; the names of the parameters are those of the published weight files.
"""
