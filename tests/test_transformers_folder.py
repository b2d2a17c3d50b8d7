"""`rmbg weights get --transformers`: the released weights and what their release lacks."""

# Pins the inside of backends.local.released
# Pins the inside of cli.weights_command

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rmbg_nodes.backends.local.released import Released
from rmbg_nodes.cli import weights_command
from rmbg_nodes.config.host import PlainHost
from rmbg_nodes.core.errors import BackendMissing, BadOption
from rmbg_nodes.tests.support.hub import Hub, serving
from rmbg_nodes.tests.support.released_folder import small_weights

pytestmark = pytest.mark.whole

Command = Callable[..., int]


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return small_weights(tmp_path / "published", "birefnet").read_bytes()


@pytest.fixture
def hub(content: bytes) -> Iterator[Hub]:
    with serving(content=content, path="/ZhengPeng7/BiRefNet/resolve/main/model.safetensors") as it:
        yield it


@pytest.fixture
def get(
    hub: Hub, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], int]:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    variables = {"RMBG_MODELS": str(tmp_path / "models"), "XDG_DATA_HOME": str(tmp_path / "data")}
    row = Released(
        model="birefnet",
        repo="ZhengPeng7/BiRefNet",
        file="model.safetensors",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        licence="birefnet-mit",
        dtype="float32",
        patch_order="c hg wg",
    )

    def command() -> int:
        parser = argparse.ArgumentParser()
        weights_command.add_arguments(parser)
        words = ["get", "birefnet", "--accept-license", "--transformers"]
        host = PlainHost(variables, platform="linux")
        return weights_command.run(
            parser.parse_args(words), host=host, rows=(row,), endpoint=hub.url
        )

    return command


def test_without_transformers_nothing_is_fetched(get, hub: Hub, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "rmbg_nodes.hf", None)
    with pytest.raises(BackendMissing, match="pip install 'transformers>=5'"):
        get()
    assert hub.requests == []


class TestWithTransformers:
    @pytest.fixture(autouse=True)
    def _transformers(self) -> None:
        pytest.importorskip("transformers", minversion="5.0", reason="needs transformers 5")
        pytest.importorskip("huggingface_hub")

    def test_a_model_trained_at_another_size_is_fed_at_it(self, tmp_path: Path) -> None:
        from rmbg_nodes.hf import complete_folder

        folder = complete_folder(small_weights(tmp_path, "birefnet"), "c hg wg", 2048)
        said = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
        assert said["size"] == {"height": 2048, "width": 2048}

    def test_the_folder_loads(self, get, tmp_path: Path, capsys) -> None:
        from transformers import AutoImageProcessor, AutoModelForImageSegmentation

        assert get() == 0
        folder = tmp_path / "models" / "BiRefNet"
        assert "transformers' AutoModel" in capsys.readouterr().out
        assert {path.name for path in folder.iterdir()} == {
            "config.json",
            "model.safetensors",
            "preprocessor_config.json",
        }
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        assert config["model_type"] == "rmbg-birefnet"
        assert "auto_map" not in config
        model = AutoModelForImageSegmentation.from_pretrained(folder)
        assert model.decoder.patch_order == "c hg wg"
        assert AutoImageProcessor.from_pretrained(folder).size == {"height": 1024, "width": 1024}

    def test_twice_changes_nothing_and_fetches_nothing(self, get, hub: Hub, tmp_path) -> None:
        get()
        files = sorted((tmp_path / "models" / "BiRefNet").iterdir())
        stamps = [path.stat().st_mtime_ns for path in files]
        hub.requests.clear()
        get()
        assert hub.requests == []
        assert [path.stat().st_mtime_ns for path in files] == stamps

    def test_another_config_is_never_overwritten(self, get, tmp_path: Path) -> None:
        folder = tmp_path / "models" / "BiRefNet"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}", encoding="utf-8")
        with pytest.raises(BadOption, match="--to"):
            get()
        assert (folder / "config.json").read_text(encoding="utf-8") == "{}"

    def test_only_the_name_that_transformers_reads(self, tmp_path: Path) -> None:
        from rmbg_nodes.hf import complete_folder

        path = small_weights(tmp_path, "isnet").rename(tmp_path / "other.safetensors")
        with pytest.raises(BadOption, match="weights convert"):
            complete_folder(path)
