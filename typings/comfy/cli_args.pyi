class _Arguments:
    disable_metadata: bool
    listen: str

args: _Arguments
