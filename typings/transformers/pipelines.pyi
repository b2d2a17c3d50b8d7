from . import BaseImageProcessor, PreTrainedModel

class Pipeline:
    _load_processor: bool | None
    _load_image_processor: bool | None
    _load_video_processor: bool | None
    _load_feature_extractor: bool | None
    _load_tokenizer: bool | None
    model: PreTrainedModel
    image_processor: BaseImageProcessor
    def __init__(self, *, model: object, **kwargs: object) -> None: ...

class ImageSegmentationPipeline(Pipeline): ...

class _Registry:
    supported_tasks: dict[str, dict[str, object]]

PIPELINE_REGISTRY: _Registry
