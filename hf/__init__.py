"""RMBG-2.0, RMBG-1.4 and BiRefNet for transformers 5, without code from the Hub.

Importing this package registers them: `AutoConfig`, `AutoModelForImageSegmentation`,
`AutoImageProcessor` and `pipeline` know the model types "rmbg-birefnet" and "rmbg-isnet" from then
on. Nothing else of rmbg_nodes needs transformers, and nothing else imports this package but
`rmbg weights get --transformers`.
"""

from __future__ import annotations

from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageSegmentation
from transformers.pipelines import PIPELINE_REGISTRY

from .configuration import RmbgBiRefNetConfig, RmbgIsNetConfig, config_of
from .folder import complete_folder
from .image_processing import RmbgImageProcessor
from .modeling import RmbgBiRefNet, RmbgBiRefNetOutput, RmbgIsNet, RmbgIsNetOutput
from .pipelines import BackgroundRemovalPipeline, ImageSegmentation

_TASK = "background-removal"

__all__ = [
    "BackgroundRemovalPipeline",
    "RmbgBiRefNet",
    "RmbgBiRefNetConfig",
    "RmbgBiRefNetOutput",
    "RmbgImageProcessor",
    "RmbgIsNet",
    "RmbgIsNetConfig",
    "RmbgIsNetOutput",
    "complete_folder",
    "config_of",
    "register",
]


def register() -> None:
    """Register the classes, once; importing `hf` calls it.

    Tasks are entered directly. `register_pipeline` would also mark the classes, and a marked
    pipeline writes its source and `custom_pipelines` into every folder that it saves; transformers
    then loads that folder only as code from the Hub.
    """
    for config, model in ((RmbgBiRefNetConfig, RmbgBiRefNet), (RmbgIsNetConfig, RmbgIsNet)):
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModelForImageSegmentation.register(config, model, exist_ok=True)
        AutoImageProcessor.register(
            config, slow_image_processor_class=RmbgImageProcessor, exist_ok=True
        )
    tasks = PIPELINE_REGISTRY.supported_tasks
    tasks["image-segmentation"] = {**tasks["image-segmentation"], "impl": ImageSegmentation}
    tasks[_TASK] = {
        "impl": BackgroundRemovalPipeline,
        "pt": (AutoModelForImageSegmentation,),
        "default": {},
        "type": "image",
    }


register()
