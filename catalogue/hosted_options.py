"""The settings that several hosted models share."""

from __future__ import annotations

from ..core.specs import Option

COMMON = (
    Option(
        "profile",
        "",
        "The name of a set of keys made with `rmbg keys set PROVIDER --profile NAME`. Empty = the "
        "key in the environment, else the default one. Never the key itself: this text is saved in "
        "the workflow.",
    ),
    Option(
        "downscale",
        False,
        "Send a picture that is over the provider's size limit smaller instead of refusing it. "
        "Only the mask gets coarser, and the report says so.",
    ),
    Option(
        "resubmit",
        False,
        "Pay again for pictures whose earlier job was lost and may have been billed. Look at your "
        "account with the provider first, and switch this off afterwards.",
    ),
)
MODERATION = (
    Option(
        "moderate_input",
        False,
        "Bria checks the picture's content before it works on it and refuses some.",
    ),
    Option(
        "moderate_output",
        False,
        "Bria checks the content of the result and refuses some.",
    ),
)
ACCOUNT = Option(
    "account",
    "key",
    "key: COMFY_API_KEY, or the key that was kept with Set key or `rmbg keys set comfy`. "
    "signed-in: the account that is signed in to ComfyUI; its credential is used while a run "
    "lasts, and is kept nowhere.",
    choices=("key", "signed-in"),
)
CLIENT = Option(
    "client",
    "own",
    "own: this package's client. official: the provider's SDK, kept from sending a picture twice; "
    "it has to be installed.",
    choices=("own", "official"),
    in_nodes=False,
)
PROMPT = Option(
    "prompt",
    "",
    "For models that are guided by words (rmbg-guided), which need them: what is kept, in plain "
    "words, as in: the person with the mat and the plant. It is sent with each picture, and "
    "another prompt is another result to pay for.",
    example="the person with the mat and the plant",
)
CONTENT_MODERATION = Option(
    "content_moderation",
    False,
    "Replicate checks the picture's content and refuses some.",
)
