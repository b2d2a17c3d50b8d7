"""Names of results that every system can hold, on whichever they are made."""

from __future__ import annotations

import re

# Devices of Windows, which it finds whatever follows a dot or colon, and behind blanks at the end.
_DEVICES = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *([.:].*)?", re.IGNORECASE | re.DOTALL
)
_END = re.compile(r"[. ]+\Z")


def portable(name: str) -> str:
    """The name of one file or folder, without what Windows reserves or leaves out.

    `con.png`, `aux` and `COM¹ .txt` get a `_` before them; each blank and dot at the end becomes
    one. Every other name stays as it is.
    """
    kept = _END.sub(lambda match: "_" * len(match[0]), name)
    return f"_{kept}" if _DEVICES.fullmatch(kept) or _DEVICES.fullmatch(name) else kept
