"""Load the checkout as `rmbg_nodes`, whatever its folder is called, with nothing installed."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import socket
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _load_checkout() -> None:
    spec = importlib.util.spec_from_file_location(
        "rmbg_nodes", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["rmbg_nodes"] = module
    spec.loader.exec_module(module)


_load_checkout()


class _RootIsNoPackage:
    """The checkout's folder may have a name that no package can have, such as rmbg-nodes."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Dir | None:
        return pytest.Dir.from_parent(parent, path=path) if path == ROOT else None


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_RootIsNoPackage())


def _bar_the_internet() -> None:
    """Every connection of this process that would leave the machine is an error."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
            _expect_loopback(str(address[0]))
        connect(self, address)  # type: ignore[arg-type]

    def local_names(host: object, *rest: object, **named: object) -> object:
        if host is not None:
            _expect_loopback(host.decode() if isinstance(host, bytes) else str(host))
        return look_up(host, *rest, **named)  # type: ignore[arg-type]

    socket.socket.connect = guarded  # type: ignore[method-assign, assignment]
    socket.getaddrinfo = local_names  # type: ignore[assignment]


def _expect_loopback(host: str) -> None:
    if host == "localhost":
        return
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise OSError(f"A test tried to reach {host}.")


_bar_the_internet()


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(autouse=True)
def _no_surroundings(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No test sees the settings, keys or records of the user whose machine it runs on."""
    from rmbg_nodes.catalogue.hosted_models import ROWS

    keys = {variable for row in ROWS for variable in row.key_variables}
    prefixes = ("RMBG_", *{f"{variable.partition('_')[0]}_" for variable in keys})
    for name in list(os.environ):
        if name.startswith(prefixes):
            monkeypatch.delenv(name)
    own = tmp_path_factory.mktemp("user")
    for variable in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(own / "data"))
    if sys.platform == "darwin":  # where no variable moves the user's folders
        monkeypatch.setenv("HOME", str(own))
    for variable in ("XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.setenv(variable, str(own / "config"))
