"""The TOML files that users write for us: parsed, and refused where they hold a secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from typing import cast

from ..core.errors import BadOption
from .invocation import command

_SECRET_NAME = re.compile(r"(?i)token|secret|passw|credential|apikey|(?:^|[_-])keys?(?:[_-]|$)")
# As Replicate, Hugging Face, fal and Bria make them, and a password inside an address.
_SECRET_TEXT = re.compile(
    r"(?i)(?:r8_|hf_|sk-|bearer )[\w-]{16,}|[0-9a-f-]{36}:[0-9a-f]{32}|[0-9a-f]{32}|.*://[^/\s]*@.*"
)


def parse_toml(
    data: bytes, name: str, *, parse_float: Callable[[str], object]
) -> dict[str, object]:
    """Parse a file's bytes. name: what messages call it: "The settings file /a/b.toml".

    parse_float: what becomes of a number with a point, `str` or `Decimal`, so that amounts of money
    stay as they are written. Raises BadOption for what is no TOML, for what looks like a key or a
    password, and where Python 3.10 has no parser.
    """
    loads = _parser()
    if loads is None:
        raise BadOption(
            f"{name} cannot be read by Python 3.10 alone: `pip install tomli`, or use Python 3.11 "
            "or newer."
        )
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        table = loads(text, parse_float=parse_float)
    except (ValueError, RecursionError) as error:
        # Without its cause, which holds the file's text.
        raise BadOption(f"{name} is not TOML: {error}.") from None
    _check_nothing_secret(table, name)
    return table


def looks_secret(text: str) -> bool:
    """Return whether a text has the form of a provider's key, or holds a password."""
    return _SECRET_TEXT.fullmatch(text.strip()) is not None


def _parser() -> Callable[..., dict[str, object]] | None:
    """Return the standard library's, or for Python 3.10 the package that it was made of."""
    for name in ("tomllib", "tomli"):
        with suppress(ModuleNotFoundError):
            return cast("Callable[..., dict[str, object]]", import_module(name).loads)
    return None


def _check_nothing_secret(table: Mapping[str, object], file: str) -> None:
    for name, text in _texts("", table):
        if _SECRET_NAME.search(name) or looks_secret(name) or looks_secret(text):
            raise BadOption(
                f"{file} holds what looks like a key or a password. It belongs elsewhere: take it "
                f"out, and keep it with `{command('keys set PROVIDER')}`."
            )


def _texts(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield every name in the file with every text below it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key), ""
            yield from _texts(str(key), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(name, inner)
    else:
        yield name, str(value)
