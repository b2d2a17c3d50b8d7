from collections.abc import Sequence
from os import PathLike
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .pipelines import Pipeline as Pipeline

class PreTrainedConfig:
    model_type: ClassVar[str]
    architectures: list[str] | None
    return_dict: bool
    dtype: str | torch.dtype | None
    def __init__(self, **kwargs: object) -> None: ...
    def to_diff_dict(self) -> dict[str, object]: ...

class PreTrainedModel(nn.Module):
    config_class: ClassVar[type[PreTrainedConfig] | None]
    base_model_prefix: str
    main_input_name: str
    input_modalities: str | tuple[str, ...]
    def __init__(self, config: PreTrainedConfig) -> None: ...
    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def device(self) -> torch.device: ...
    def post_init(self) -> None: ...
    def _init_weights(self, module: nn.Module) -> None: ...
    def save_pretrained(self, save_directory: str | PathLike[str]) -> None: ...
    @classmethod
    def from_pretrained(cls, *arguments: Any, **options: Any) -> Any: ...  # noqa: ANN401
    @classmethod
    def _load_pretrained_model(cls, *arguments: Any) -> Any: ...  # noqa: ANN401

class BatchFeature(dict[str, Tensor]): ...

class BaseImageProcessor:
    model_input_names: Sequence[str]
    def __init__(self, **kwargs: object) -> None: ...
    def __call__(self, images: object) -> BatchFeature: ...
    def to_dict(self) -> dict[str, object]: ...
    def save_pretrained(self, save_directory: str | PathLike[str]) -> None: ...

class AutoConfig:
    @staticmethod
    def register(
        model_type: str, config: type[PreTrainedConfig], exist_ok: bool = False
    ) -> None: ...

class AutoModelForImageSegmentation:
    @classmethod
    def register(
        cls,
        config_class: type[PreTrainedConfig],
        model_class: type[PreTrainedModel],
        exist_ok: bool = False,
    ) -> None: ...
    @classmethod
    def from_pretrained(
        cls,
        folder: str | PathLike[str],
        *,
        config: PreTrainedConfig | None = None,
        dtype: torch.dtype | None = None,
    ) -> Any: ...  # noqa: ANN401  # whichever class is registered

class AutoImageProcessor:
    @staticmethod
    def register(
        config_class: type[PreTrainedConfig],
        *,
        slow_image_processor_class: type[BaseImageProcessor],
        exist_ok: bool = False,
    ) -> None: ...
    @classmethod
    def from_pretrained(cls, folder: str | PathLike[str]) -> Any: ...  # noqa: ANN401
