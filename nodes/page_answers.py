"""What the node's own page may ask for, as plain JSON in and out: a function for each question."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TypeAlias, TypeGuard, cast, get_args

from ..backends.local.released import rows_of
from ..catalogue.backends import BACKENDS, find
from ..config.keys import HUB, checked_key, set_key
from ..config.settings import read_settings
from ..core.errors import AccountRefused, KeyMissing, Offline
from ..core.report import JsonValue
from ..core.specs import BackendSpec, OptionValue
from ..core.types import Usage
from ..pipeline.gate import allow
from ..pipeline.offers import weights_offer
from ..pipeline.readiness import best_backend
from .backend_choice import ready_here
from .comfy_host import ComfyHost
from .weights_first import DOWNLOADS

Json: TypeAlias = "dict[str, JsonValue]"

# The first pieces come, or the Hub refuses, within moments: then the answer says so at once.
_MOMENT = 0.3


class BadRequest(Exception):
    """What no page of ours sends."""


def _readiness(asked: Json) -> Json:
    """Of each of these nodes: what a run would do now, and the download that its model is in."""
    nodes = asked.get("nodes")
    if not isinstance(nodes, list):
        raise BadRequest("nodes must be a list.")
    return {"nodes": [_of_node(node) for node in nodes]}


def _of_node(node: JsonValue) -> Json:
    values = node.get("backend") if isinstance(node, dict) else None
    if not isinstance(node, dict) or not _are_values(values):
        raise BadRequest("A node must have usage and backend, with the values of its widgets.")
    found = ready_here(values, _usage(node))
    said = cast("Json", asdict(found))
    said["download"] = _progress(found.weights.model) if found.weights else None
    return said


def _best(asked: Json) -> Json:
    """The provider and model that a fresh node starts with."""
    spec = find(best_backend(ComfyHost()))
    return {"backend": spec.provider, "model": spec.model}


def _models(asked: Json) -> Json:
    """Every model of this machine, with what is to be known before it is fetched."""
    usage = _usage(asked)
    here = [
        ready_here({"backend": row.provider, "model": row.model, "download": False}, usage)
        for row in BACKENDS.values()
        if row.provider == "local"
    ]
    return {
        "models": [
            {
                **cast("Json", asdict(weights_offer(rows_of(find(one.backend).model)[0]))),
                "about": find(one.backend).summary,
                "state": one.state,
                "why": one.words,
            }
            for one in here
            if one.backend
        ]
    }


def _download(asked: Json) -> Json:
    """Begin to fetch a model's weights, or join the download that is under way."""
    row = rows_of(_text(asked, "model"))[0]
    if asked.get("accepted") is not True:
        raise BadRequest("accepted must be true: the user has accepted the licence.")
    settings = read_settings()
    allow(find(f"local/{row.model}"), _usage(asked), settings)
    token = _text(asked, "token")
    if token:
        set_key(HUB, token)
    host = ComfyHost()
    download = DOWNLOADS.start(
        row, host.model_folders()[0], host.data_folder(), offline=settings.offline
    )
    download.wait(_MOMENT)
    return cast("Json", asdict(download.progress))


def _cancel(asked: Json) -> Json:
    """Stop a download; what has arrived is kept for the next one."""
    for download in DOWNLOADS.of(_text(asked, "model")):
        download.stop()
        download.wait(_MOMENT)
    return {}


def _key(asked: Json) -> Json:
    """Keep a key in the user's key file, unless its provider says that it is none."""
    spec = find(_text(asked, "provider"))
    if spec.hosting is None:
        raise BadRequest("This backend needs no key.")
    value, profile = _text(asked, "key"), _text(asked, "profile")
    tried = _tried(spec, value)
    path = set_key(spec, value, profile)
    return {"kept": True, "words": f"Kept in {path}, readable by you alone. {tried}"}


def _tried(spec: BackendSpec, value: str) -> str:
    """What the provider says of the key, in a call that costs nothing. Raises KeyMissing where it
    refuses the key."""
    from ..backends.hosted.free_calls import try_key
    from ..backends.hosted.http.wire import Unreachable

    key = checked_key(spec, value)
    try:
        if try_key(spec, key):
            return f"{spec.label} knows it."
    except KeyMissing as error:
        raise KeyMissing(f"{error} Nothing was kept.") from error
    except AccountRefused as error:
        return str(error)
    except (Offline, Unreachable) as error:
        return f"It was not tried: {str(error).removesuffix('.')}."
    return f"It was not tried: {spec.label} has no call that costs nothing."


def _progress(model: str) -> Json | None:
    """The latest download of this model that has not ended well."""
    known = [one.progress for one in DOWNLOADS.of(model)]
    return cast("Json", asdict(known[-1])) if known and known[-1].state != "done" else None


def _usage(asked: Mapping[str, JsonValue]) -> Usage | None:
    return next((one for one in get_args(Usage) if one == asked.get("usage")), None)


def _text(asked: Mapping[str, JsonValue], name: str) -> str:
    value = asked.get(name, "")
    if not isinstance(value, str):
        raise BadRequest(f"{name} must be a text.")
    return value.strip()


def _are_values(value: object) -> TypeGuard[Mapping[str, OptionValue]]:
    return (
        isinstance(value, dict)
        and isinstance(value.get("backend"), str)
        and all(isinstance(one, (str, int, float, bool)) for one in value.values())
    )


#: The questions by their names. Each may block, and raises BadRequest or an error of ours.
ANSWERS: Mapping[str, Callable[[Json], Json]] = {
    "readiness": _readiness,
    "best": _best,
    "models": _models,
    "download": _download,
    "cancel": _cancel,
    "key": _key,
}
#: Those that change something on this machine.
CHANGES = frozenset({"download", "cancel", "key"})
