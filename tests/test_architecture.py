"""The imports that must never exist, and what else keeps the house in order."""

# Pins the inside of backends.hosted.providers

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import rmbg_nodes
from rmbg_nodes.backends.hosted.providers import PROVIDERS

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


#: Each imports only what stands before it; those of one row do not import each other.
LAYERS = (
    ("version",),
    ("core",),
    ("catalogue",),
    ("config",),
    ("pictures",),
    ("records",),
    ("backends",),
    ("pipeline",),
    ("video",),
    ("api", "nodes", "batch", "hf", "demo"),
    ("cli",),
)
LEVEL = {name: level for level, row in enumerate(LAYERS) for name in row}
#: The doors: they open whatever they are asked for, when they are asked.
DOORS = ("__init__.py", "__main__.py")


def layer_of(module: str) -> str:
    """The layer of one of our modules, "./core/errors" or "core/errors.py"."""
    return module.removeprefix("./").split("/")[0].removesuffix(".py")


def arrows_back(name: str, modules: Iterable[str]) -> list[str]:
    """What a file imports of ours that does not stand before its own layer."""
    here = layer_of(name)
    return [
        f"{name} imports {module}"
        for module in modules
        if module.startswith("./")
        and layer_of(module) != here
        and LEVEL[layer_of(module)] >= LEVEL[here]
    ]


def test_no_import_leads_back_up() -> None:
    found = []
    for path in PACKAGE_FILES:
        name = path.relative_to(ROOT).as_posix()
        if name not in DOORS:
            found += arrows_back(name, imports_of(path))
    assert found == []


def test_every_file_is_in_a_layer() -> None:
    here = {layer_of(path.relative_to(ROOT).as_posix()) for path in PACKAGE_FILES}
    assert here - {layer_of(door) for door in DOORS} == set(LEVEL)


#: What tests of behaviour may import: the faces of the packages, those that other packages and
#: programs use. Whatever else a test file imports of the package it pins, and says so.
FACES = {
    "": ("", "api", "version"),
    "core": ("errors", "report", "specs", "types"),
    "catalogue": ("backends", "hosted_models", "licences"),
    "config": ("host", "hosted", "settings"),
    "pictures": ("formats", "metadata", "provenance", "read", "write"),
    "records": ("store",),
    "backends": ("hosted", "local"),
    "pipeline": ("collect", "context", "finishing", "gate", "inputs", "readiness", "remove"),
    "video": (
        *("", "frames", "from_python", "video_options", "video_plan", "video_report", "video_run"),
        *("reading/info", "reading/streams", "writing/open_writer", "writing/video_formats"),
    ),
    "batch": ("", "preview", "run"),
    "hf": ("",),
    "demo": ("photos", "product", "scenes", "shapes"),
    "cli": ("",),
}
_FACES = {"/".join(filter(None, (folder, name))) for folder, row in FACES.items() for name in row}
_PINS = "# Pins the inside of "


def inside_of(path: Path) -> set[str]:
    """The modules of the package that a test file imports and that are no face."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rmbg_nodes."):
            module = (node.module or "").removeprefix("rmbg_nodes.").replace(".", "/")
            modules = {f"{module}/{name.name}" for name in node.names}
            found |= {name if _is_module(name) else module for name in modules}
    return {name for name in found - _FACES if not name.startswith(("tests/", "bench", "typings"))}


def _is_module(name: str) -> bool:
    return (ROOT / f"{name}.py").is_file() or (ROOT / name / "__init__.py").is_file()


def test_tests_that_pin_an_inside_say_so() -> None:
    """A test that imports other files than faces moves when they do: it names them."""
    wanted = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        said = {line.removeprefix(_PINS) for line in lines if line.startswith(_PINS)}
        inside = {name.replace("/", ".") for name in inside_of(path)}
        if said != inside:
            wanted[path.name] = [f"{_PINS}{name}" for name in sorted(inside)]
    assert wanted == {}, "below the file's docstring stand exactly these lines"


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("core/errors.py", "./config/settings"),
        ("pictures/read.py", "./records/chain"),
        ("demo/photos.py", "./nodes/tensors"),
        ("records/journal.py", "./cli/shared"),
    ],
)
def test_an_arrow_back_is_found(name: str, module: str) -> None:
    assert arrows_back(name, [module]) == [f"{name} imports {module}"]


def test_file_names_are_unique() -> None:
    names = Counter(path.name for path in PACKAGE_FILES if path.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []


@dataclass(frozen=True)
class Rule:
    """Files under `place` (not `apart`) import nothing that starts with one of `never`."""

    place: str
    never: tuple[str, ...]
    apart: tuple[str, ...] = ()


# Beside the layers: who knows of ComfyUI, of the network, of each other.
RULES = (
    *(Rule(f"{name}/", COMFY) for name in LEVEL if name != "nodes"),
    Rule("backends/hosted/", ("./backends/local", "./backends/keyer")),
    *(
        Rule(
            f"backends/hosted/providers/{provider}.py",
            (*NETWORK, *(f"./backends/hosted/providers/{p}" for p in PROVIDERS if p != provider)),
        )
        for provider in PROVIDERS
    ),
    Rule("backends/local/", ("./backends/hosted",)),
    Rule("backends/local/", HTTP, apart=("backends/local/weights.py",)),
    Rule("backends/keyer/", ("./backends/local", "./backends/hosted", *HTTP)),
    Rule("backends/edges/", ("./backends/local", "./backends/hosted", *HTTP)),
    Rule("records/", HTTP),
    Rule(
        "nodes/",
        tuple(name for name in COMFY if name != "comfy_api"),
        apart=("nodes/comfy_host.py",),
    ),
    # Nothing else waits for Ray, or knows of catalogues.
    Rule("cli/", ("./batch",), apart=("cli/batch_command.py",)),
    Rule("hf/", ("./pipeline",)),
    Rule("cli/", ("./nodes",)),
    Rule("", ("rmbg_nodes",)),
)


def breaches(rule: Rule, files: list[Path]) -> list[str]:
    """What the files import against a rule."""
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


#: They answer ComfyUI's server, and open nothing.
SERVING = {"nodes/comfy_host.py", "nodes/routes.py", "nodes/web_folder.py"}


def test_only_the_transport_and_the_weights_open_connections() -> None:
    doors = ("aiohttp", "httpx", "requests", "huggingface_hub", "http.client")
    found = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE_FILES
        for module in imports_of(path)
        if any(module == door or module.startswith(f"{door}.") for door in doors)
    }
    outside = {name for name in found if not name.startswith("backends/hosted/")}
    assert (
        outside <= {"backends/local/weights.py", "hf/folder.py", "cli/doctor/findings.py"} | SERVING
    )


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


def test_only_one_file_reads_and_writes_png_chunks() -> None:
    found = [
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE_FILES
        if re.search(r"crc32|\\x89PNG", path.read_text(encoding="utf-8"))
    ]
    assert found == ["pictures/formats.py", "pictures/png.py"]


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
