"""RMBG-2.0, RMBG-1.4 and BiRefNet for transformers 5, without code from the Hub.

Importing this package registers them: `AutoConfig`, `AutoModelForImageSegmentation`,
`AutoImageProcessor` and `pipeline` know the model types "rmbg-birefnet" and "rmbg-isnet" from then
on. Nothing else of rmbg_nodes needs transformers, and nothing else imports this package but
`rmbg weights get --transformers`.
"""

from __future__ import annotations

from .configuration import RmbgBiRefNetConfig, RmbgIsNetConfig, config_of
from .folder import complete_folder
from .image_processing import RmbgImageProcessor
from .modeling import RmbgBiRefNet, RmbgBiRefNetOutput, RmbgIsNet, RmbgIsNetOutput
from .pipelines import BackgroundRemovalPipeline
from .register import register

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

register()
