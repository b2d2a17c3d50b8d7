"""What a user can do about a file of records that fails."""

from __future__ import annotations

#: A word of the system's or SQLite's reason -> what to do.
_REMEDIES = {
    "locked": "End the program that holds it",
    "full": "Make room on its disk",
    "No space": "Make room on its disk",
    "too large": "Make room on its disk",
    "disk I/O": "Make room on its disk, or mend it",
    "readonly": "Give yourself the right to write there",
    "ermi": "Give yourself the right to write there",  # permission denied, not permitted
    "Read-only": "Give yourself the right to write there",
    "unable to open": "Give yourself the right to write there",
    "Not a directory": "Make it a folder that can be written",
    "File exists": "Make it a folder that can be written",
}


def remedy(error: Exception) -> str:
    """The next step, as a sentence."""
    said = str(error)
    first = next((what for word, what in _REMEDIES.items() if word in said), "Mend it or its disk")
    return f"{first}, or set RMBG_DATA to another folder, which knows nothing of earlier jobs."
