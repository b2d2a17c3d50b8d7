"""Pure functions on tensors: torch, numpy and scipy; no ComfyUI, no HTTP, no files."""
