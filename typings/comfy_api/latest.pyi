"""The part of ComfyUI's V3 node API that this pack uses; held to the real one by tests/comfyui."""

from collections.abc import Mapping, Sequence

class ComfyExtension:
    async def on_load(self) -> None: ...
    async def get_node_list(self) -> list[type[io.ComfyNode]]: ...

class _ComfyType:
    @staticmethod
    def Input(
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        *,
        extra_dict: Mapping[str, object] | None = None,
    ) -> io.Input: ...
    @staticmethod
    def Output(
        id: str | None = None,
        display_name: str | None = None,
        *,
        tooltip: str | None = None,
        is_output_list: bool = False,
    ) -> io.Output: ...

class io:
    class Input:
        id: str

    class Output:
        id: str | None

    class HiddenHolder:
        prompt: object
        extra_pnginfo: Mapping[str, object] | None
        auth_token_comfy_org: str | None
        api_key_comfy_org: str | None

    class Hidden:
        auth_token_comfy_org: io.Hidden
        api_key_comfy_org: io.Hidden

    class ComfyNode:
        hidden: io.HiddenHolder
        @classmethod
        def define_schema(cls) -> io.Schema: ...
        @classmethod
        def GET_SCHEMA(cls) -> io.Schema: ...

    class Schema:
        node_id: str
        display_name: str
        inputs: list[io.Input]
        outputs: list[io.Output]
        def __init__(
            self,
            *,
            node_id: str,
            display_name: str,
            category: str,
            description: str,
            inputs: Sequence[io.Input],
            outputs: Sequence[io.Output],
            search_aliases: Sequence[str] = (),
            is_input_list: bool = False,
            is_output_node: bool = False,
            hidden: Sequence[io.Hidden] = (),
        ) -> None: ...

    class NodeOutput:
        result: tuple[object, ...]
        def __init__(self, *args: object, ui: Mapping[str, object] | None = None) -> None: ...

    Image = _ComfyType
    Mask = _ComfyType
    Video = _ComfyType
    @staticmethod
    def Custom(io_type: str) -> type[_ComfyType]: ...

    class String(_ComfyType):
        @staticmethod
        def Input(  # type: ignore[override]
            id: str,
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
            *,
            multiline: bool = False,
            default: str,
            force_input: bool | None = None,
        ) -> io.Input: ...

    class Boolean(_ComfyType):
        @staticmethod
        def Input(  # type: ignore[override]
            id: str,
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
            *,
            default: bool,
        ) -> io.Input: ...

    class Int(_ComfyType):
        @staticmethod
        def Input(  # type: ignore[override]
            id: str,
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
            *,
            default: int,
            min: int,
            max: int,
            step: int = 1,
            advanced: bool | None = None,
        ) -> io.Input: ...

    class Float(_ComfyType):
        @staticmethod
        def Input(  # type: ignore[override]
            id: str,
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
            *,
            default: float,
            min: float,
            max: float,
            step: float,
            advanced: bool | None = None,
        ) -> io.Input: ...

    class Combo(_ComfyType):
        @staticmethod
        def Input(  # type: ignore[override]
            id: str,
            options: Sequence[str],
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
            *,
            default: str,
            advanced: bool | None = None,
        ) -> io.Input: ...

    class DynamicCombo:
        class Option:
            def __init__(self, key: str, inputs: list[io.Input]) -> None: ...

        @staticmethod
        def Input(
            id: str,
            options: list[io.DynamicCombo.Option],
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
        ) -> io.Input: ...

class InputImpl:
    class VideoFromFile:
        def __init__(self, file: str) -> None: ...

    class VideoFromComponents:
        def __init__(self, components: object) -> None: ...
