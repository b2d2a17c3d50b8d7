"""The machine outside ComfyUI: the environment over the settings file, and folders by the
platform's convention."""

from __future__ import annotations

import os
import sys
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .file import FILE_NAME, SettingsFile, read_settings_file

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ..core.types import Resident

MODELS_VARIABLE = "RMBG_MODELS"
DEVICE_VARIABLE = "RMBG_DEVICE"
DATA_VARIABLE = "RMBG_DATA"
SETTINGS_VARIABLE = "RMBG_SETTINGS"

_NAME = "rmbg-nodes"


class PlainHost:
    """A Host from environment variables, by default the process's own over the settings file.

    RMBG_MODELS lists model folders, separated like PATH. RMBG_DATA names the data folder; without
    it, data and configuration live where the platform keeps them: XDG_DATA_HOME and
    XDG_CONFIG_HOME (else ~/.local/share and ~/.config), ~/Library/Application Support on macOS,
    LOCALAPPDATA and APPDATA on Windows.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        platform: str = sys.platform,
        home: Path | None = None,
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._is_own = environment is None
        self._platform = platform
        self._home = home or Path.home()

    def surroundings(self, file: SettingsFile | None = None) -> Mapping[str, str]:
        """Return what each variable is: the environment's, else that of the settings file. A
        variable that is set to nothing is not set. An environment that was given is taken alone.

        file: as it was read; None reads it now. Raises BadOption for one that cannot be used.
        """
        if not self._is_own:
            return self._environment
        below = {
            name: text
            for name, text in (file or self.settings_file()).values.items()
            if not self._environment.get(name, "").strip()
        }
        return ChainMap(below, os.environ) if below else self._environment

    def settings_file(self) -> SettingsFile:
        """Read the settings file as it is now. Raises BadOption."""
        named = bool(self._environment.get(SETTINGS_VARIABLE, "").strip())
        return read_settings_file(self.settings_path(), required=named)

    def settings_path(self) -> Path:
        """Return RMBG_SETTINGS, else settings.toml in the configuration folder."""
        named = self._environment.get(SETTINGS_VARIABLE, "").strip()
        return Path(os.path.expanduser(named)) if named else self.config_folder() / FILE_NAME

    def model_folders(self) -> list[Path]:
        """Return RMBG_MODELS first, then `models` in the data folder."""
        listed = self.surroundings().get(MODELS_VARIABLE, "").split(os.pathsep)
        named = [Path(folder.strip()).expanduser() for folder in listed if folder.strip()]
        return [*named, self.data_folder() / "models"]

    def data_folder(self) -> Path:
        """Return the folder of what this package remembers for this user."""
        given = self.surroundings().get(DATA_VARIABLE, "").strip()
        if given:
            return Path(given).expanduser()
        return self._folder("XDG_DATA_HOME", ".local/share", "LOCALAPPDATA", "AppData/Local")

    def config_folder(self) -> Path:
        """Return the folder of what this user has set up for this package."""
        return self._folder("XDG_CONFIG_HOME", ".config", "APPDATA", "AppData/Roaming")

    def device(self) -> torch.device:
        """Return RMBG_DEVICE ("cpu", "cuda:1", "mps"), else the best there is."""
        from .devices import best_device

        return best_device(self.surroundings().get(DEVICE_VARIABLE, ""))

    def precision(self) -> torch.dtype:
        """Return bfloat16 or float16 where the device computes in it, float32 on a CPU."""
        from .devices import best_precision

        return best_precision(self.device())

    def slowdown(self, dtype: torch.dtype) -> float:
        """Return how many times as long as in float32 a CPU takes in `dtype`; other devices are not
        timed."""
        from .timing import slowdown

        return slowdown(dtype) if self.device().type == "cpu" else 1.0

    def room(self, bytes_each: int) -> int:
        """Return how many fit into the device's free memory; on a CPU one, because more are not
        faster."""
        from .devices import free_bytes

        return max(1, free_bytes(self.device()) // bytes_each)

    def adopt(self, network: nn.Module) -> Resident:
        """Take a network that is moved to the device at first use, and back to the CPU when
        released."""
        from .devices import PlainResident

        return PlainResident(network, self.device())

    def free_memory(self) -> None:
        """Give the device's cached memory back."""
        from .devices import empty_cache

        empty_cache(self.device())

    def _folder(self, variable: str, usual: str, on_windows: str, usual_there: str) -> Path:
        if self._platform == "darwin":
            return self._home / "Library/Application Support" / _NAME
        windows = self._platform == "win32"
        given = self._environment.get(on_windows if windows else variable, "")
        # The XDG specification: a relative path is invalid and to be ignored.
        base = Path(given) if given and Path(given).is_absolute() else None
        return (base or self._home / (usual_there if windows else usual)) / _NAME
