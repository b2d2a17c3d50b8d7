"""What the nodes use of ComfyUI, and what a ComfyUI has: the same names with their signatures.

`typings/` describes the part of ComfyUI that the nodes may use; mypy holds the nodes to it. A core
fits when it takes every call that `typings/` allows. A signature is written as Python writes it,
with `...` for each default; None stands for an attribute.
"""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
from collections.abc import Iterator, Mapping
from inspect import Parameter, Signature
from pathlib import Path
from typing import TypeAlias

from .comfy_server import python_of

ROOT = Path(__file__).resolve().parents[2]
TYPINGS = ROOT / "typings"
RECORDED = ROOT / "tests" / "data" / "comfyui-signatures.json"
#: Not ComfyUI's.
OTHERS = ("transformers",)

#: "module:name.name" -> its signature; None for an attribute.
Names: TypeAlias = "dict[str, Signature | None]"


def used() -> Names:
    """Everything in `typings/` that is ComfyUI's."""
    names: Names = {}
    for path in sorted(TYPINGS.rglob("*.pyi")):
        parts = path.relative_to(TYPINGS).with_suffix("").parts
        if parts[0] in OTHERS:
            continue
        module = ".".join(part for part in parts if part != "__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = dict(_members(tree.body, {}))
        names |= {f"{module}:{name}": signature for name, signature in found.items()}
    return {name: signature for name, signature in names.items() if ":_" not in name}


def _members(
    body: list[ast.stmt], private: dict[str, Names], method: bool = False
) -> Iterator[tuple[str, Signature | None]]:
    """Names of a module or class. private: members of classes that only typings has, by name."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            free = any(getattr(d, "id", "") == "staticmethod" for d in node.decorator_list)
            signature = _signature(node.args, bound=method and not free)
            yield ("" if node.name == "__init__" else node.name), signature
        elif isinstance(node, ast.ClassDef):
            members: Names = {}
            for base in node.bases:
                members |= private.get(getattr(base, "id", ""), {})
            members |= dict(_members(node.body, private, method=True))
            if node.name.startswith("_"):
                private[node.name] = members
                continue
            yield from _below(node.name, members)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            kind = getattr(node.annotation, "id", "")
            yield node.target.id, None
            yield from _below(node.target.id, private.get(kind, {}))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield from _below(node.targets[0].id, private[getattr(node.value, "id", "")])


def _below(name: str, members: Names) -> Iterator[tuple[str, Signature | None]]:
    for member, signature in members.items():
        yield f"{name}.{member}".removesuffix("."), signature


def _signature(arguments: ast.arguments, *, bound: bool = False) -> Signature:
    positional = [*arguments.posonlyargs, *arguments.args]
    first_default = len(positional) - len(arguments.defaults)
    parameters = [
        _parameter(one.arg, Parameter.POSITIONAL_OR_KEYWORD, index >= first_default)
        for index, one in enumerate(positional)
    ]
    if arguments.vararg:
        parameters.append(_parameter(arguments.vararg.arg, Parameter.VAR_POSITIONAL, False))
    for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        parameters.append(_parameter(one.arg, Parameter.KEYWORD_ONLY, default is not None))
    if arguments.kwarg:
        parameters.append(_parameter(arguments.kwarg.arg, Parameter.VAR_KEYWORD, False))
    return Signature(parameters[1:] if bound else parameters)


def _parameter(name: str, kind: inspect._ParameterKind, optional: bool) -> Parameter:
    return Parameter(name, kind, default=... if optional else Parameter.empty)


def parsed(text: str | None) -> Signature | None:
    """A signature as it is written in the records."""
    if text is None:
        return None
    (function,) = ast.parse(f"def f({text}): ...").body
    assert isinstance(function, ast.FunctionDef)
    return _signature(function.args)


def misfits(ours: Names, core: Mapping[str, Signature | None]) -> list[str]:
    """Calls that `ours` allows and `core` refuses, and names that it lacks; empty where it fits."""
    wrong = []
    for name, signature in ours.items():
        if name not in core:
            wrong.append(f"{name} is missing")
        elif signature is not None:
            theirs = core[name]
            wrong += [] if theirs is None else [f"{name}: {w}" for w in _refused(signature, theirs)]
    return wrong


def _refused(ours: Signature, theirs: Signature) -> Iterator[str]:
    kinds = {parameter.kind for parameter in theirs.parameters.values()}
    places = [p.name for p in theirs.parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
    for place, one in enumerate(ours.parameters.values()):
        if one.kind == Parameter.VAR_POSITIONAL:
            if Parameter.VAR_POSITIONAL not in kinds:
                yield f"any number of arguments ({one.name})"
        elif one.name not in theirs.parameters:
            if Parameter.VAR_KEYWORD not in kinds and Parameter.VAR_POSITIONAL not in kinds:
                yield f"{one.name} is not taken"
        elif one.kind == Parameter.POSITIONAL_OR_KEYWORD and places[place : place + 1] != [
            one.name
        ]:
            yield f"{one.name} stands at another place"
    for one in theirs.parameters.values():
        given = ours.parameters.get(one.name)
        needed = one.default is Parameter.empty and one.kind not in (
            Parameter.VAR_POSITIONAL,
            Parameter.VAR_KEYWORD,
        )
        if needed and (given is None or given.default is not Parameter.empty):
            yield f"{one.name} must be given"


# Runs in ComfyUI's own interpreter: names on stdin, {name: text | None} on the last line of stdout.
_ASK = """
import importlib, inspect, json, sys
import comfy.options
comfy.options.enable_args_parsing()
sys.argv = ["main.py", "--cpu"]
found = {}
for name in json.load(sys.stdin):
    module, _, path = name.partition(":")
    thing, owner, last = importlib.import_module(module), None, ""
    for last in path.split("."):
        owner, thing = thing, getattr(thing, last, None)
    if not callable(thing):
        there = hasattr(owner, last)
        if not there and inspect.isclass(owner):
            source = inspect.getsource(owner)
            there = last in inspect.signature(owner).parameters or any(
                f"{of}.{last} =" in source for of in (owner.__name__, "self"))
        if there:
            found[name] = None
        continue
    parameters = list(inspect.signature(thing).parameters.values())
    if inspect.isfunction(inspect.getattr_static(owner, last)) and inspect.isclass(owner):
        parameters = parameters[1:]
    words, bare = [], False
    for one in parameters:
        star = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        if one.kind == one.KEYWORD_ONLY and not bare:
            words.append("*")
        bare = bare or one.kind in (one.VAR_POSITIONAL, one.KEYWORD_ONLY)
        words.append(star + one.name + ("" if one.default is one.empty else "=..."))
    found[name] = ", ".join(words)
print(json.dumps(found))
"""


def of_checkout(comfyui: Path, names: list[str]) -> dict[str, str | None]:
    """What a real ComfyUI has of these names."""
    result = subprocess.run(
        [python_of(comfyui), "-c", _ASK],
        input=json.dumps(names),
        capture_output=True,
        text=True,
        cwd=comfyui,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, str | None] = json.loads(result.stdout.splitlines()[-1])
    return found


def calls_of(source: str, method: str) -> list[ast.Call]:
    """Every `something.method(...)` in a Python source."""
    return [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == method
    ]
