"""The image processor and the pipeline: the same answers as the local engine."""

# Pins the inside of backends.local.preprocess

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rmbg_nodes.api import open_backend, remove_background
from rmbg_nodes.backends.local.preprocess import BIREFNET, ISNET, prepare
from rmbg_nodes.core.errors import BadOption
from rmbg_nodes.demo.scenes import render
from rmbg_nodes.tests.support.networks import small_isnet
from rmbg_nodes.tests.support.released_folder import released_folder, small_weights

pytestmark = pytest.mark.whole

transformers = pytest.importorskip("transformers", minversion="5.0", reason="needs transformers 5")
hf = pytest.importorskip("rmbg_nodes.hf")

FAMILIES = ("birefnet", "isnet")
SIDE = 256
RECIPES = {"birefnet": BIREFNET, "isnet": ISNET}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """As `rmbg weights get --transformers` makes them, at a smaller resolution."""
    root = tmp_path_factory.mktemp("folders")
    for family in FAMILIES:
        hf.complete_folder(small_weights(root / family, family))
        path = root / family / "preprocessor_config.json"
        path.write_text(path.read_text(encoding="utf-8").replace("1024", str(SIDE)), "utf-8")
    return {family: root / family for family in FAMILIES}


def photo(seed: int = 0, size: tuple[int, int] = (90, 140)) -> Image.Image:
    return Image.fromarray(np.uint8(np.rint(render("soft", seed, size).image * 255)))


def pipe(folder: Path, task: str = "image-segmentation", **options: object):
    return transformers.pipeline(task, model=str(folder), device="cpu", **options)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_processor_feeds_what_the_engine_feeds(folders: dict[str, Path], family: str):
    processor = transformers.AutoImageProcessor.from_pretrained(folders[family])
    pictures = [photo(1), photo(2, (64, 300))]
    colours = [torch.from_numpy(np.asarray(one).astype(np.float32) / 255) for one in pictures]
    wanted = prepare(colours, SIDE, RECIPES[family], torch.device("cpu"))
    assert torch.equal(processor(pictures)["pixel_values"], wanted)
    assert torch.equal(processor(pictures[0], return_tensors="pt")["pixel_values"], wanted[:1])
    assert processor(pictures[0].convert("L"))["pixel_values"].shape == (1, 3, SIDE, SIDE)


def test_the_processor_refuses_what_it_cannot_do(folders: dict[str, Path]):
    processor = transformers.AutoImageProcessor.from_pretrained(folders["isnet"])
    with pytest.raises(BadOption, match="return_tensors"):
        processor(photo(), return_tensors="np")
    for size in ({"height": 512, "width": 256}, {"height": 100, "width": 100}):
        with pytest.raises(BadOption, match="multiple of 32"):
            hf.RmbgImageProcessor(size=size)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_pipeline_answers_what_the_engine_answers(folders: dict[str, Path], family: str):
    backend = open_backend(
        "local/rmbg-2.0",
        weights=str(folders[family] / "model.safetensors"),
        resolution=SIDE,
        precision="float32",
    )
    image = photo()
    wanted = remove_background(image, backend)
    removal = pipe(folders[family])
    mask, cut_out = removal(image, return_mask=True), removal(image)
    assert mask.mode == "L"
    assert cut_out.mode == "RGBA"
    assert mask.size == cut_out.size == image.size
    assert len(np.unique(np.asarray(mask))) > 20, "a soft mask, not a hard one"
    for one, other in ((mask, wanted.mask), (cut_out, wanted.image)):
        difference = np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16))
        assert difference.max() <= 1


def test_both_tasks_and_paths_and_batches(folders: dict[str, Path], tmp_path: Path):
    removal = pipe(folders["isnet"], "background-removal")
    assert isinstance(removal, hf.BackgroundRemovalPipeline)
    assert isinstance(pipe(folders["isnet"]), hf.BackgroundRemovalPipeline)
    pictures = [photo(seed, (60 + 30 * seed, 100)) for seed in range(3)]
    single = [removal(one, return_mask=True) for one in pictures]
    together = removal(pictures, return_mask=True, batch_size=2)
    for one, other, source in zip(single, together, pictures, strict=True):
        assert one.size == other.size == source.size
        assert np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).max() <= 1
    pictures[0].save(tmp_path / "shoe.png")
    assert removal(str(tmp_path / "shoe.png"), return_mask=True) == single[0]


def test_the_cards_own_line(folders: dict[str, Path]):
    """The card asks for remote code; the folder holds none, so none is there to run."""
    card = transformers.pipeline(
        "image-segmentation", model=str(folders["isnet"]), trust_remote_code=True
    )
    pillow_mask = card(photo(), return_mask=True)
    pillow_image = card(photo())
    assert (pillow_mask.mode, pillow_image.mode) == ("L", "RGBA")


def test_a_released_folder_needs_a_model_and_a_processor(tmp_path: Path):
    config = hf.config_of(small_isnet(torch.float32).state_dict())
    folder = released_folder(tmp_path, "isnet")
    model = transformers.AutoModelForImageSegmentation.from_pretrained(folder, config=config)
    processor = hf.RmbgImageProcessor.for_config(config)
    removal = transformers.pipeline(
        "image-segmentation", model=model, image_processor=processor, device="cpu"
    )
    assert processor.size == {"height": 1024, "width": 1024}
    assert removal(photo(), return_mask=True).size == photo().size


def test_an_alpha_is_multiplied_with_the_mask(folders: dict[str, Path]):
    removal = pipe(folders["isnet"])
    image = photo()
    holed = image.copy()
    alpha = np.full(image.size[::-1], 255, np.uint8)
    alpha[:, :70] = 0
    holed.putalpha(Image.fromarray(alpha))
    mask = np.asarray(removal(holed, return_mask=True))
    assert not mask[:, :70].any()
    assert np.array_equal(mask[:, 70:], np.asarray(removal(image, return_mask=True))[:, 70:])


def test_decontamination_can_be_left_out(folders: dict[str, Path]):
    removal = pipe(folders["birefnet"])
    image = photo()
    plain = np.asarray(removal(image, decontaminate=0.0))
    in_edge = (plain[..., 3] > 0)[..., None]
    assert np.array_equal(plain[..., :3] * in_edge, np.asarray(image) * in_edge)
    assert not np.array_equal(np.asarray(removal(image))[..., :3], plain[..., :3])


def test_a_model_in_training_is_switched_to_evaluation(folders: dict[str, Path]):
    model = hf.RmbgBiRefNet.from_pretrained(folders["birefnet"]).train()
    processor = transformers.AutoImageProcessor.from_pretrained(folders["birefnet"])
    removal = hf.BackgroundRemovalPipeline(model=model, image_processor=processor, device=-1)
    assert not model.training
    assert removal(photo()).mode == "RGBA"


def test_a_saved_pipeline_loads_without_code(folders: dict[str, Path], tmp_path: Path):
    removal = pipe(folders["isnet"])
    if not hasattr(removal, "modelcard"):  # transformers 5.0.0 reads it and never sets it
        removal.modelcard = None
    removal.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("*.py"))
    again = pipe(tmp_path)
    assert again(photo(), return_mask=True) == removal(photo(), return_mask=True)


def test_other_models_of_the_task_keep_their_pipeline():
    config = transformers.SegformerConfig(
        num_encoder_blocks=1, depths=[1], hidden_sizes=[4], num_attention_heads=[1],
        sr_ratios=[1], patch_sizes=[3], strides=[2], mlp_ratios=[1], decoder_hidden_size=4,
    )  # fmt: skip
    model = transformers.SegformerForSemanticSegmentation(config)
    processor = hf.RmbgImageProcessor(size={"height": 32, "width": 32})
    stock = transformers.pipeline(
        "image-segmentation", model=model, image_processor=processor, device="cpu"
    )
    assert type(stock) is transformers.ImageSegmentationPipeline
