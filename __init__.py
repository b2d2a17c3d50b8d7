"""Background removal for ComfyUI, Python and the command line."""

__version__ = "0.1.0"
