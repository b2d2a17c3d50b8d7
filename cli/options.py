"""--option NAME=VALUE, as several commands take it; without torch, which may be what is broken."""

from __future__ import annotations

from ..core.errors import BadOption
from ..core.specs import OptionValue


def parse_options(pairs: list[str]) -> dict[str, OptionValue]:
    """Parse NAME=VALUE words; numbers and true/false become what they look like."""
    options: dict[str, OptionValue] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise BadOption(f"--option {pair!r} must be NAME=VALUE, as in --option download=1.")
        options[name] = _value(text)
    return options


def _value(text: str) -> OptionValue:
    if text in ("true", "false"):
        return text == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
