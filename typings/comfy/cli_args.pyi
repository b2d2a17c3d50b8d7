class _Arguments:
    disable_metadata: bool

args: _Arguments
