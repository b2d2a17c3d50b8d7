"""`rmbg keys`: keys of providers and of the Hub, typed or piped in, never an argument."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from dataclasses import asdict

from ..catalogue.hosted_models import ROWS
from ..config.invocation import command
from ..config.keys import ENVIRONMENT, HUB, Keyed, list_keys, remove_key, set_key
from ..core.errors import BadOption

_KEYED: tuple[Keyed, ...] = (*ROWS, HUB)
_PROVIDERS = {row.provider: row for row in reversed(_KEYED)}
_NAMES = ", ".join(sorted(_PROVIDERS))
_LONGEST = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    keep = actions.add_parser("set", help="keep a key in your key file; asks for it")
    listing = actions.add_parser("list", help="which keys there are, masked, and where")
    listing.add_argument("--json", action="store_true", help="print one JSON list")
    drop = actions.add_parser("remove", help="take a key out of your key file")
    for action in (keep, drop):
        # No `choices`, which would print what was given: it may be a key.
        action.add_argument("provider", metavar="PROVIDER", help=f"one of: {_NAMES}")
        action.add_argument(
            "--profile", default="", metavar="NAME", help="a set of keys of its own (default: none)"
        )
    # Taken, to be refused in our words: argparse would print them.
    keep.add_argument("given", nargs="*", help=argparse.SUPPRESS)
    keep.add_argument(
        "--key", "--token", "--value", "--api-key", dest="given_too", help=argparse.SUPPRESS
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.action == "list":
        return _list(as_json=arguments.json)
    spec = _PROVIDERS.get(arguments.provider)
    if spec is None:
        raise BadOption(f"PROVIDER must be one of: {_NAMES}.")
    if arguments.action == "remove":
        return _remove(spec, arguments.profile)
    if arguments.given or arguments.given_too is not None:
        raise BadOption(
            "A key is never an argument, because other users and the shell's history see those. "
            f"Run `{command(f'keys set {spec.provider}')}` and paste it when asked, or pipe it in. "
            "Make a new key if this machine has other users."
        )
    path = set_key(spec, _asked(spec), arguments.profile)
    print(f"Kept in {path}, readable by you alone.")
    _say_environment(spec)
    return 0


def _asked(spec: Keyed) -> str:
    """Read the key from a hidden prompt, or from standard input where that is no terminal."""
    if not sys.stdin.isatty():
        return sys.stdin.read(_LONGEST)
    print(f"Keys are made at {spec.key_page}", file=sys.stderr)
    try:
        return getpass.getpass(f"Key for {spec.provider} (not shown): ")
    except EOFError:
        raise BadOption("No key was given, and nothing was changed.") from None


def _remove(spec: Keyed, profile: str) -> int:
    removed = remove_key(spec, profile)
    print("Removed." if removed else f"The key file has no such key for {spec.provider}.")
    _say_environment(spec)
    return 0 if removed else 1


def _say_environment(spec: Keyed) -> None:
    first = next((row for row in list_keys([spec]) if row.source == ENVIRONMENT), None)
    if first:
        print(f"{first.variable} is set in the environment and is used unless a profile is named.")


def _list(*, as_json: bool) -> int:
    rows = list_keys(_KEYED)
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    elif not rows:
        print(f"No keys. `{command('keys set PROVIDER')}` keeps one; PROVIDER is {_NAMES}.")
    for row in () if as_json else rows:
        profile = f"profile {row.profile}" if row.profile else "no profile"
        print(f"{row.provider:<11} {row.masked:<12} {profile:<20} {row.variable} in {row.source}")
    return 0
