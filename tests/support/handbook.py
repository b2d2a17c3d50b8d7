"""What the documentation takes from the code: blocks of Markdown, made of the rows, the schema, the
parsers and the docstrings.

A page is prose with blocks in it: everything between `<!-- made: NAME -->` and `<!-- end -->` is
replaced. `scripts/make_docs.py` writes the pages, `tests/test_docs.py` compares them.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import rmbg_nodes
from rmbg_nodes.backends.local.released import RELEASED
from rmbg_nodes.batch.recipe.presets import PRESETS, Preset
from rmbg_nodes.batch.recipe.recipe_keys import KEYS, TABLES
from rmbg_nodes.catalogue.backends import BACKENDS, DEFAULT_IDS
from rmbg_nodes.catalogue.hosted_models import BASE_VARIABLES, ROWS
from rmbg_nodes.catalogue.hosted_videos import VIDEO_ROWS
from rmbg_nodes.catalogue.licences import LICENCES
from rmbg_nodes.cli import COMMANDS, backends_command, config_command, licences_command
from rmbg_nodes.config import keys
from rmbg_nodes.config.hosted import hosting_of
from rmbg_nodes.config.settings import VARIABLES
from rmbg_nodes.core.specs import BackendSpec, Hosting, Option
from rmbg_nodes.tests.support.comfy_standin import Item, standing_in
from rmbg_nodes.video.writing.video_formats import VIDEO_FORMATS

ROOT = Path(__file__).resolve().parent.parent.parent
_BLOCK = re.compile(r"(<!-- made: ([\w.-]+) -->)\n.*?<!-- end -->", re.DOTALL)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
# Longer signatures take a line for every parameter.
_WIDTH = 88
_ORIGINS = {
    "document": "in the provider's document",
    "reseller": "at a reseller",
    "unknown": "stated by nobody",
}
_TYPES = {"BOOLEAN": "switch", "INT": "whole number", "FLOAT": "number", "STRING": "text"}


def functions() -> dict[str, Callable[..., object]]:
    """The public functions, in the order of the source."""
    found = {name: getattr(rmbg_nodes, name) for name in rmbg_nodes.__all__}
    return {
        name: value
        for name, value in sorted(
            ((name, value) for name, value in found.items() if inspect.isfunction(value)),
            key=lambda pair: (pair[1].__module__, pair[1].__code__.co_firstlineno),
        )
    }


def parsers() -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Name, one line of help and parser of every command, those of actions included."""
    for name, words in COMMANDS.items():
        parser = argparse.ArgumentParser(prog=f"rmbg {name}")
        importlib.import_module(f"rmbg_nodes.cli.{name}_command").add_arguments(parser)
        yield f"rmbg {name}", words, parser
        for action in _actions(parser):
            if isinstance(action, argparse._SubParsersAction):
                helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
                for sub, inner in action.choices.items():
                    yield f"rmbg {name} {sub}", helps[sub], inner


def arguments(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """How each argument is written, and what it does."""
    for action in _actions(parser):
        if isinstance(action, (argparse._HelpAction, argparse._SubParsersAction)):
            continue
        if action.help != argparse.SUPPRESS:
            yield _written(action), _told(action)


def schema() -> Mapping[str, object]:
    """Node id -> the schema of the node, on the stand-in for ComfyUI."""
    with standing_in():
        nodes = importlib.import_module("rmbg_nodes.nodes.node_list").NODES
        return {node.GET_SCHEMA().node_id: node.GET_SCHEMA() for node in nodes}


#: The ids of the nodes, in the order of their list.
NODES = tuple(schema())


def blocks() -> dict[str, Callable[[], str]]:
    """Every block, by its name."""
    made: dict[str, Callable[[], str]] = {
        "backends": backends_command.markdown_table,
        "providers": _providers,
        "licences": licences_command.markdown_table,
        "attribution": _attribution,
        "options": _options,
        "variables": _variables,
        "settings": config_command.markdown_table,
        "weights": _weights,
        "keys": _keys,
        "limits": _limits,
        "retention": _retention,
        "addresses": _addresses,
        "commands": _commands,
        "functions": _functions,
        "recipe": _recipe,
        "presets": _presets,
        "video-formats": _video_formats,
        "video-models": _video_models,
    }
    return made | {name: partial(_node, name) for name in NODES}


def renewed(text: str) -> str:
    """The page with its blocks made anew. Raises KeyError for a block that there is not."""
    made = blocks()

    def block(found: re.Match[str]) -> str:
        return f"{found[1]}\n{made[found[2]]()}\n<!-- end -->"

    return _BLOCK.sub(block, text)


def pages() -> list[Path]:
    """The pages that have blocks."""
    written = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [page for page in written if _BLOCK.search(_FENCE.sub("", page.read_text("utf-8")))]


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    cells = ([" ".join(cell.replace("|", "\\|").split()) for cell in line] for line in lines)
    return (
        "\n".join(f"| {' | '.join(line)} |" for line in cells)
        .replace("| --- ", "|---")
        .replace("|--- |", "|---|")
    )


def _providers() -> str:
    head = ("backend", "model", "price a picture", "read", "takes (PNG)",
            "up to this inside the request", "usually")  # fmt: skip
    rows = (
        (
            f"`{row.id}`",
            f"`{row.hosting.endpoint}`",
            str(row.price),
            f"{row.price.as_of}, {_ORIGINS[row.price.origin]}",
            megabytes(row.hosting.most_bytes),
            megabytes(row.hosting.inline_bytes),
            f"{row.hosting.seconds} s",
        )
        for row in BACKENDS.values()
        if row.hosting and row.price
    )
    return _table(head, rows)


def _hosted() -> list[tuple[BackendSpec, Hosting]]:
    """One row for each provider."""
    rows = {row.provider: row for row in reversed(ROWS)}
    return [(rows[name], hosting_of(rows[name])) for name in DEFAULT_IDS if name in rows]


def _weights() -> str:
    rows = (
        (f"`{row.model}`", row.repo, row.file, f"{row.size:,}", row.dtype,
         LICENCES[row.licence].name, f"`{row.sha256}`", f"`{row.revision}`",
         str(row.resolution or 1024),
         "-" if row.model in ("rmbg-1.4", "isnet") else row.patch_order)
        for row in RELEASED
    )  # fmt: skip
    head = ("model", "Hub repository", "file", "bytes", "dtype", "licence", "sha256", "revision")
    return _table((*head, "works at", "patch order"), rows)


def _keys() -> str:
    def variable(name: str) -> str:
        halves = " and ".join(f"`{half}`" for half in keys._HALVES.get(name, ()))
        return f"`{name}`, or {halves}" if halves else f"`{name}`"

    return _table(
        ("provider", "variables, the first that is set", "a key is made at", "your jobs are at"),
        (
            (
                f"`{row.provider}`",
                ", ".join(map(variable, row.key_variables)),
                f"<{of.key_page}>",
                f"<{of.jobs_page}>",
            )
            for row, of in _hosted()
        ),
    )


def _limits() -> str:
    def ours(row: BackendSpec, what: str) -> str:
        return f"`RMBG_{row.provider.upper()}_{what}`"

    return _table(
        ("provider", "jobs at a time", "requests a minute", "set those of your plan with"),
        (
            (f"`{row.provider}`", str(of.in_flight), str(of.requests_a_minute),
             f"{ours(row, 'IN_FLIGHT')}, {ours(row, 'REQUESTS_A_MINUTE')}")
            for row, of in _hosted()
        ),
    )  # fmt: skip


def _retention() -> str:
    rows = ((f"`{row.provider}`", str(of.retention), of.region) for row, of in _hosted())
    return _table(("provider", "what it keeps", "region"), rows)


def _addresses() -> str:
    rows = ((f"`{variable}`", f"`{official}`") for variable, official in BASE_VARIABLES.items())
    return _table(("variable", "stands for"), rows)


def megabytes(count: int) -> str:
    """As people write it."""
    return f"{count / 1e6:.{2 if count < 1e6 else 0 if count >= 1e8 else 1}f} MB"


def _attribution() -> str:
    rows = ((row.covers, row.holder, row.attribution, row.note or "-") for row in LICENCES.values())
    return _table(("what", "holder", "line for your credits", "note"), rows)


def _options() -> str:
    parts = []
    for provider in DEFAULT_IDS:
        rows = [row for row in BACKENDS.values() if row.provider == provider]
        options = {option.name: option for row in rows for option in row.options}
        having = {
            name: [row.id for row in rows if name in {option.name for option in row.options}]
            for name in options
        }
        ids = ", ".join(f"`{row.id}`" for row in rows)
        table = _table(
            ("setting", "values", "default", "what it does"),
            (
                (
                    f"`{name}`",
                    _values(option),
                    _default(option.default),
                    option.tooltip
                    + ("" if len(having[name]) == len(rows) else f" ({', '.join(having[name])}.)")
                    + ("" if option.in_nodes else " Python and command line only."),
                )
                for name, option in options.items()
            ),
        )
        parts.append(f"### {provider}\n\n{ids}\n\n{table}")
    return "\n\n".join(parts)


def _variables() -> str:
    rows = ((f"`{name}`", words) for name, words in VARIABLES.items())
    return _table(("variable", "what it does"), rows)


def _commands() -> str:
    parts = []
    for name, words, parser in parsers():
        rows = list(arguments(parser))
        heading = "##" if name.count(" ") == 1 else "###"
        parts.append(f"{heading} `{name}`\n\n{words[:1].upper()}{words[1:]}.")
        if rows:
            parts.append(_table(("argument", "what it is"), iter(rows)))
    return "\n\n".join(parts)


def _recipe() -> str:
    parts = []
    for table in ("", *TABLES):
        rows = [key for key in KEYS if key.table == table]
        heading = f"### `[{table}]`" if table else "### At the top"
        if rows:
            made = ((f"`{key.name}`", key.kind.takes, key.default, key.what) for key in rows)
            parts.append(f"{heading}\n\n{_table(('key', 'value', 'default', 'what'), made)}")
    return "\n\n".join(parts)


def _video_formats() -> str:
    heading = ("id", "file", "what for", "alpha", "sound")
    rows = (
        (
            f"`{row.id}`",
            f"a folder of `{row.suffix}`" if row.is_sequence else f"`{row.suffix}`",
            f"{row.label}: {row.purpose}",
            "the matte alone" if row.matte else row.alpha,
            "yes" if "audio" in row.carries else "no",
        )
        for row in VIDEO_FORMATS
    )
    return _table(heading, rows)


def _video_models() -> str:
    head = ("backend", "model", "price a second", "read", "an upload may have")
    rows = (
        (
            f"`{row.id}`",
            f"`{row.hosting.endpoint}`",
            str(row.price),
            f"{row.price.as_of}, {_ORIGINS[row.price.origin]}: {row.price.source}",
            megabytes(row.hosting.most_bytes),
        )
        for row in VIDEO_ROWS
        if row.hosting and row.price
    )
    return _table(head, rows)


def _presets() -> str:
    head = ("preset", "canvas", "fill", "background", "format", "what for", "read")
    return _table(head, (_preset(row) for row in PRESETS.values()))


def _preset(row: Preset) -> tuple[str, ...]:
    size = row.size if isinstance(row.size, str) else f"{row.size[0]} x {row.size[1]}"
    quality = "" if row.quality is None else f" {row.quality}"
    ours = f"; ours: {', '.join(row.ours)}" if row.ours else ""
    read = f"[{row.read_on}]({row.source}), {row.seen}{ours}" if row.source else "neutral"
    return (
        f"`{row.name}`",
        size,
        f"{row.fill:g}",
        row.background,
        f"{row.format}{quality}",
        row.purpose,
        read,
    )


def _functions() -> str:
    parts = []
    for name, function in functions().items():
        doc = inspect.getdoc(function) or ""
        parts.append(f"### `{name}`\n\n```python\n{_signature(name, function)}\n```\n\n{doc}")
    return "\n\n".join(parts)


def _signature(name: str, function: Callable[..., object]) -> str:
    """As the source writes it, the same on every Python."""
    words: list[str] = []
    starred = False
    found = inspect.signature(function)
    for one in found.parameters.values():
        if one.kind is one.KEYWORD_ONLY and not starred:
            starred = True
            words.append("*")
        stars = "**" if one.kind is one.VAR_KEYWORD else ""
        default = "" if one.default is one.empty else f" = {_quoted(one.default)}"
        words.append(f"{stars}{one.name}: {one.annotation}{default}")
    prefix = "async def" if inspect.iscoroutinefunction(function) else "def"
    line = f"{prefix} {name}({', '.join(words)}) -> {found.return_annotation}"
    if len(line) <= _WIDTH:
        return line
    inner = "".join(f"    {word},\n" for word in words)
    return f"{prefix} {name}(\n{inner}) -> {found.return_annotation}"


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _node(node_id: str) -> str:
    node = schema()[node_id]
    inputs: list[Item] = node.inputs  # type: ignore[attr-defined]
    outputs: list[Item] = node.outputs  # type: ignore[attr-defined]
    into = (
        (
            f"`{item.id}`{' (optional)' if item.settings.get('optional') else ''}",
            _widget(item),
            _default(item.settings.get("default")),
            str(item.settings.get("tooltip", "")),
        )
        for item in inputs
    )
    out = ((f"`{item.id}`", item.kind, str(item.settings.get("tooltip", ""))) for item in outputs)
    return "\n\n".join(
        (
            str(node.description),  # type: ignore[attr-defined]
            _table(("input", "type", "default", "what it does"), into),
            _table(("output", "type", "what it is"), out),
        )
    )


def _widget(item: Item) -> str:
    if item.kind == "COMFY_DYNAMICCOMBO_V3":
        options = item.settings["options"]
        assert isinstance(options, list)
        return ", ".join(f"`{option.key}`" for option in options)
    if item.kind == "COMBO":
        options = item.settings["options"]
        assert isinstance(options, (list, tuple))
        return ", ".join(f"`{option}`" for option in options)
    low, high = item.settings.get("min"), item.settings.get("max")
    limits = "" if high is None else f", {_number(low)} to {_number(high)}"
    return f"{_TYPES.get(item.kind, item.kind)}{limits}"


def _values(option: Option) -> str:
    if option.choices:
        return ", ".join(f"`{choice}`" for choice in option.choices)
    if isinstance(option.default, bool):
        return "switch"
    if isinstance(option.default, str):
        return "text"
    low, high, step = option.limits
    return f"whole number, {low} to {high} in steps of {step}"


def _default(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (int, float)):
        return _number(value)
    return f"`{value}`" if value else "empty"


def _number(value: object) -> str:
    assert isinstance(value, (int, float))
    return f"{value:g}"


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return parser._actions


def _written(action: argparse.Action) -> str:
    """Its flags and what its value is called, as argparse's own help writes them."""
    metavar = action.metavar or (action.dest if not action.option_strings else action.dest.upper())
    value = " ".join(metavar) if isinstance(metavar, tuple) else metavar
    if action.choices is not None:
        value = "|".join(str(choice) for choice in action.choices)
    if not action.option_strings:
        more = " ..." if action.nargs in ("*", "+") else ""
        return f"`[{value}]{more}`" if action.nargs in ("?", "*") else f"`{value}{more}`"
    flags = ", ".join(f"`{flag}`" for flag in action.option_strings)
    return flags if action.nargs == 0 else f"{flags} `{value}`"


def _told(action: argparse.Action) -> str:
    words = action.help or "a file"
    default = action.default
    shown = _number(default) if isinstance(default, float) else str(default)
    if isinstance(default, tuple):
        shown = " ".join(str(part) for part in default)
    takes_value = bool(action.option_strings) and action.nargs != 0
    if takes_value and default not in (None, "", []) and shown not in words:
        words += f" (default {shown})"
    return words + (" (required)" if action.required and action.option_strings else "")
