"""The imports that must never exist, and what else keeps the house in order."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import rmbg_nodes

ROOT = Path(__file__).resolve().parent.parent
OUTSIDE = ("tests", "typings", "bench", "build", "docs", "scripts")
PACKAGE_FILES = sorted(
    path
    for path in ROOT.rglob("*.py")
    if path.relative_to(ROOT).parts[0] not in OUTSIDE
    and not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
COMFY = ("comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "server",
         "execution", "nodes")  # fmt: skip
HTTP = ("aiohttp", "httpx", "requests", "urllib", "http", "huggingface_hub", "socket")
# What can open a connection, and the modules of ours that do.
NETWORK = ("aiohttp", "httpx", "requests", "urllib.request", "http.client", "socket",
           "./backends/hosted/http/transport", "./backends/hosted/http/exchange",
           "./backends/hosted/http/sessions")  # fmt: skip


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, inside functions too; ours as "./core/errors" and so on."""
    relative = path.relative_to(ROOT)
    package = relative.parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                yield node.module or ""
                continue
            base = package[: len(package) - node.level + 1]
            module = tuple((node.module or "").split(".")) if node.module else ()
            for name in node.names:
                yield "./" + "/".join((*base, *module, *(() if module else (name.name,))))


# Nothing else waits for Ray, or knows of catalogues.
BATCH_USERS = ("cli/batch_command.py", *(p.relative_to(ROOT).as_posix() for p in PACKAGE_FILES
               if p.parent == ROOT / "batch"))  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """Files under `place` (not `apart`) import nothing that starts with one of `never`."""

    place: str
    never: tuple[str, ...]
    apart: tuple[str, ...] = ()


RULES = (
    Rule("core/", ("./backends", "./nodes", "./records", "./pipeline", "./pictures", "./commands")),
    Rule("backends/", ("./nodes", "./records", "./pipeline", "./pictures", "./commands", *COMFY)),
    Rule("backends/hosted/", ("./backends/local", "./backends/keyer")),
    *(
        Rule(f"backends/hosted/{provider}.py", (*NETWORK, *others))
        for provider, others in {
            "bria": ("./backends/hosted/providers/fal", "./backends/hosted/providers/replicate"),
            "fal": ("./backends/hosted/providers/bria", "./backends/hosted/providers/replicate"),
            "replicate": ("./backends/hosted/providers/bria", "./backends/hosted/providers/fal"),
        }.items()
    ),
    Rule("backends/local/", ("./backends/hosted",)),
    Rule("backends/local/", HTTP, apart=("backends/local/weights.py",)),
    Rule("backends/keyer/", ("./backends/local", "./backends/hosted", *HTTP)),
    Rule("records/", ("./backends", "./nodes", "./pipeline", "./feed", "./bookkeeping", *HTTP)),
    Rule("pictures/", ("./backends", "./nodes", "./records", "./pipeline", "./commands")),
    Rule(
        "nodes/",
        tuple(name for name in COMFY if name != "comfy_api"),
        apart=("nodes/comfy_host.py",),
    ),
    Rule("batch/", ("./nodes", "./commands", "./interface", *COMFY)),
    Rule("", ("./batch",), apart=BATCH_USERS),
    Rule("hf/", ("./nodes", "./commands", "./pipeline", "./interface")),
    Rule("doctor/", ("./nodes", "./commands")),
    Rule("cli/__init__.py", ("./nodes",)),
    Rule("commands/", ("./nodes",)),
    Rule("pipeline/gate.py", ("./nodes", "./pictures", "./commands", "./pipeline", *COMFY)),
    Rule("pipeline/remove.py", ("./nodes", "./pictures", "./commands", *COMFY)),
    Rule("", ("rmbg_nodes",)),
)


def breaches(rule: Rule, files: list[Path]) -> list[str]:
    found = []
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(rule.place) or name in rule.apart:
            continue
        for module in imports_of(path):
            if any(module == n or module.startswith((f"{n}.", f"{n}/")) for n in rule.never):
                found.append(f"{name} imports {module}")
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.place}!{rule.never[0]}")
def test_no_forbidden_import(rule: Rule) -> None:
    assert breaches(rule, PACKAGE_FILES) == []


def test_only_the_transport_and_the_weights_open_connections() -> None:
    doors = ("aiohttp", "httpx", "requests", "huggingface_hub", "http.client")
    found = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE_FILES
        for module in imports_of(path)
        if any(module == door or module.startswith(f"{door}.") for door in doors)
    }
    outside = {name for name in found if not name.startswith("backends/hosted/")}
    assert outside <= {"backends/local/weights.py", "hf/folder.py", "cli/doctor/findings.py"}


def test_core_imports_only_torch_numpy_scipy() -> None:
    allowed = {"torch", "numpy", "scipy", *sys.stdlib_module_names}
    found = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in PACKAGE_FILES
        if path.relative_to(ROOT).parts[0] == "core"
        for module in imports_of(path)
        if not module.startswith("./core") and module.split(".")[0] not in allowed
    ]
    assert found == []


def test_the_rules_can_fail(tmp_path: Path) -> None:
    bad = ROOT / "core" / "types.py"
    planted = Rule("core/types.py", ("./core/errors", "hashlib"))
    assert len(breaches(planted, [bad])) == 2


def test_only_the_layout_files_permute_axes() -> None:
    permutes = re.compile(r"\.(permute|movedim|transpose|swapaxes|moveaxis)\(|np\.moveaxis")
    allowed = {"core/layout.py", "nodes/tensors.py"}
    found = [
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE_FILES
        if path.relative_to(ROOT).parts[0] in ("core", "nodes")
        and permutes.search(path.read_text(encoding="utf-8"))
    ]
    assert set(found) <= allowed


def test_nothing_runs_code_from_a_file_or_touches_the_path() -> None:
    danger = re.compile(
        r"(?<![.\w])(exec|eval)\(|trust_remote_code|spec_from_file_location|sys\.path\b|pickle\.(load|Unpick)|__import__"
    )
    found = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE_FILES
        if danger.search(path.read_text(encoding="utf-8"))
    }
    # __main__ loads our own folder; files.py names the error that torch's restricted reader raises.
    assert found <= {"__main__.py", "backends/local/files.py"}


def test_the_listed_packages_are_those_on_disk() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^packages = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    listed = re.findall(r'"(rmbg_nodes[\w.]*)"', block.group(1))
    on_disk = {
        ".".join(("rmbg_nodes", *path.relative_to(ROOT).parent.parts)) for path in PACKAGE_FILES
    }
    assert sorted(on_disk) == listed


def test_the_two_versions_agree() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r'^version = "(.+)"', text, re.MULTILINE) == [rmbg_nodes.__version__]


def test_files_stay_readable() -> None:
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for path in PACKAGE_FILES
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert long == {}
