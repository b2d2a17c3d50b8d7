"""Making the models known to transformers' Auto classes and pipelines."""

from __future__ import annotations

from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageSegmentation
from transformers.pipelines import PIPELINE_REGISTRY

from .configuration import RmbgBiRefNetConfig, RmbgIsNetConfig
from .image_processing import RmbgImageProcessor
from .modeling import RmbgBiRefNet, RmbgIsNet
from .pipelines import BackgroundRemovalPipeline, ImageSegmentation

_TASK = "background-removal"


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
