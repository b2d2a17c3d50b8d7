"""Licences as rows.

The rows feed the gate, `rmbg licences`, the README's table, tooltips and reports, so each fact
stands once. Names are the publishers' own. `commercial` is what the row itself grants: "terms"
means that a paid account with the provider grants it, "unknown" counts as no. `data_terms` is about
what the model was trained on: "restricted" data stands beside a licence that allows commercial use,
and whoever uses it so says first that they know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .licence_row import DATA_TERMS_VARIABLE as DATA_TERMS_VARIABLE
from .licence_row import DataTerms as DataTerms
from .licence_row import Licence as Licence
from .licence_row import OwnWeights as OwnWeights

#: BRIA licenses each generation on its own. The first variable speaks for 2.0 and 1.4, as it did
#: before there was a third.
BRIA_LICENCE_VARIABLE = "RMBG_BRIA_LICENCE"
BRIA_LICENCE_3_VARIABLE = "RMBG_BRIA_LICENCE_3"
DATA_TERMS_SWITCH = "--accept-data-terms"

#: The row of weights whose licence is not known.
NOT_ESTABLISHED = "not-established"

_BRIA_DATA_20 = "over 15,000 high-resolution, manually labelled, fully licensed images (model card)"
_BRIA_DATA_14 = "over 12,000 high-resolution, manually labelled, fully licensed images (model card)"
_BRIA_DATA_30 = "licensed data only"
_GUIDED_DATA = "guided by words: not stated"
_BRIA_CONTACT = "https://bria.ai/contact-us"
_CARD = "model card, read 2026-11-29"
_FAL_30 = "https://fal.ai/models/bria/rmbg-3/llms.txt, read 2026-11-29"
_ISSUE_306 = "https://github.com/ZhengPeng7/BiRefNet/issues/306, the author on 2026-06-06"
_ISSUE_316 = "https://github.com/ZhengPeng7/BiRefNet/issues/316, 2026-07-29"
_MIT_WORD = f"code and weights are MIT by the author's word ({_ISSUE_316})"

_ROWS = (
    Licence(
        id="bria-rmbg-3.0",
        covers="RMBG-3.0 weights on your own machine (not run by this package)",
        name="bria-fibo / CC BY-NC 4.0",
        holder="BRIA AI",
        commercial="no",
        attribution="Background removal: BRIA RMBG-3.0 by BRIA AI, CC BY-NC 4.0.",
        training_data=_BRIA_DATA_30,
        data_terms="open",
        data_source=_FAL_30,
        model_page="https://huggingface.co/briaai/RMBG-3.0",
        licence_page="https://creativecommons.org/licenses/by-nc/4.0/deed.en",
        purchase_page="https://docs.bria.ai/self-hosted/rmbg-3",
        contact_page=_BRIA_CONTACT,
        grant_variable=BRIA_LICENCE_3_VARIABLE,
        note="licensed on its own: a licence for RMBG 2.0 does not cover it "
        "(https://docs.bria.ai/self-hosted/rmbg-3, read 2026-11-29); the licence's name was read "
        "in a mirror of the model card",
    ),
    Licence(
        id="bria-rmbg-2.0",
        covers="RMBG-2.0 weights on your own machine",
        name="bria-rmbg-2.0 / CC BY-NC 4.0",
        holder="BRIA AI",
        commercial="no",
        attribution="Background removal: BRIA RMBG-2.0 by BRIA AI, CC BY-NC 4.0.",
        training_data=_BRIA_DATA_20,
        data_terms="open",
        data_source=_CARD,
        model_page="https://huggingface.co/briaai/RMBG-2.0",
        licence_page="https://creativecommons.org/licenses/by-nc/4.0/deed.en",
        purchase_page="https://go.bria.ai/3D5EGp0",
        contact_page=_BRIA_CONTACT,
        grant_variable=BRIA_LICENCE_VARIABLE,
    ),
    Licence(
        id="bria-rmbg-1.4",
        covers="RMBG-1.4 weights on your own machine",
        name="bria-rmbg-1.4",
        holder="BRIA AI",
        commercial="no",
        attribution="Background removal: BRIA RMBG-1.4 by BRIA AI, bria-rmbg-1.4 licence.",
        training_data=_BRIA_DATA_14,
        data_terms="open",
        data_source=_CARD,
        model_page="https://huggingface.co/briaai/RMBG-1.4",
        licence_page="https://bria.ai/bria-huggingface-model-license-agreement/",
        purchase_page="https://go.bria.ai/3D5EGp0",
        contact_page=_BRIA_CONTACT,
        grant_variable=BRIA_LICENCE_VARIABLE,
    ),
    Licence(
        id="birefnet-mit",
        covers="BiRefNet weights on your own machine",
        name="MIT",
        holder="Zheng Peng and co-authors",
        commercial="yes",
        attribution="Background removal: BiRefNet by Zheng Peng et al., MIT licence.",
        training_data="public data sets, DIS5K among them",
        data_terms="restricted",
        data_source=_ISSUE_306,
        model_page="https://huggingface.co/ZhengPeng7/BiRefNet",
        licence_page="https://github.com/ZhengPeng7/BiRefNet/blob/main/LICENSE",
        note=_MIT_WORD,
    ),
    Licence(
        id="birefnet-matting-mit",
        covers="BiRefNet weights for matting and portraits on your own machine",
        name="MIT",
        holder="Zheng Peng and co-authors",
        commercial="yes",
        attribution="Background removal: BiRefNet by Zheng Peng et al., MIT licence.",
        training_data="P3M-10k and other public sets of people; for matting animals and things too",
        data_terms="restricted",
        data_source="https://github.com/egeorcun/lucida on P3M-10k, read 2026-11-29",
        model_page="https://huggingface.co/ZhengPeng7/BiRefNet-matting",
        licence_page="https://github.com/ZhengPeng7/BiRefNet/blob/main/LICENSE",
        note=_MIT_WORD,
    ),
    Licence(
        id="lucida-mit",
        covers="Lucida weights on your own machine",
        name="MIT",
        holder="Ege Örcün, after Zheng Peng and co-authors",
        commercial="yes",
        attribution="Background removal: Lucida by Ege Örcün, after BiRefNet, MIT licence.",
        training_data="DIS5K, CAMO, COD10K, P3M-10k and others, after the data of BiRefNet HR",
        data_terms="restricted",
        data_source="https://github.com/egeorcun/lucida, Datasets & licensing, read 2026-11-29",
        model_page="https://huggingface.co/egeorcun/lucida",
        licence_page="https://github.com/egeorcun/lucida/blob/main/LICENSE",
    ),
    Licence(
        id="isnet-dis",
        covers="IS-Net weights of its authors (isnet-general-use) on your own machine",
        name="not established: Apache-2.0 speaks of code and metric only",
        holder="Xuebin Qin and co-authors",
        commercial="unknown",
        attribution="Background removal: IS-Net by Xuebin Qin et al.",
        training_data="DIS5K",
        data_terms="restricted",
        data_source="https://github.com/xuebinqin/DIS/issues/150, a user on 2026-08-20, without an "
        f"answer; DIS5K: {_ISSUE_306}",
        model_page="https://github.com/xuebinqin/DIS",
        licence_page="https://github.com/xuebinqin/DIS/issues/150",
        note="the authors were asked what holds for the weights, and have not answered",
    ),
    Licence(
        id="bria-api",
        covers="Bria's own API",
        name="Bria terms of service",
        holder="BRIA AI",
        commercial="terms",
        attribution="Background removal: BRIA RMBG, Bria API.",
        training_data=f"RMBG 2.0: {_BRIA_DATA_20}; {_GUIDED_DATA}",
        data_terms="open",
        data_source=_CARD,
        model_page="https://platform.bria.ai/console/api/image-editing",
        licence_page="https://bria.ai/terms-and-conditions/",
        contact_page=_BRIA_CONTACT,
        note="advertised for commercial use; the full terms were not read by this project",
    ),
    Licence(
        id="fal-api",
        covers="RMBG on fal.ai",
        name="fal.ai terms of service, partner model",
        holder="fal.ai, with BRIA AI",
        commercial="terms",
        attribution="Background removal: BRIA RMBG on fal.ai.",
        training_data=f"RMBG 2.0: {_BRIA_DATA_20}; RMBG 3.0: {_BRIA_DATA_30}; {_GUIDED_DATA}",
        data_terms="open",
        data_source=_FAL_30,
        model_page="https://fal.ai/models/fal-ai/bria/background/remove",
        licence_page="https://fal.ai/terms",
        note="advertised for commercial use; the full terms were not read by this project",
    ),
    Licence(
        id="replicate-api",
        covers="RMBG on Replicate",
        name="Replicate terms of service, official model",
        holder="Replicate, with BRIA AI",
        commercial="terms",
        attribution="Background removal: BRIA RMBG on Replicate.",
        training_data=_BRIA_DATA_20,
        data_terms="open",
        data_source=_CARD,
        model_page="https://replicate.com/bria/remove-background",
        licence_page="https://replicate.com/terms",
        note="advertised for commercial use; the full terms were not read by this project",
    ),
    Licence(
        id="comfy-api",
        covers="RMBG on the Comfy Router",
        name="Comfy terms of service",
        holder="Comfy, with BRIA AI",
        commercial="terms",
        attribution="Background removal: BRIA RMBG, Comfy Router.",
        training_data=f"RMBG 2.0: {_BRIA_DATA_20}; {_GUIDED_DATA}",
        data_terms="open",
        data_source=_CARD,
        model_page="https://docs.comfy.org/development/comfy-router/models/bria/"
        "image-edit-remove-background/code",
        licence_page="https://www.comfy.org/terms-of-service",
        note="what Comfy's terms say of commercial use was not read by this project",
    ),
    Licence(
        id="keyer",
        covers="the keyer and edges only (no weights)",
        name="Apache-2.0 (this package)",
        holder="the rmbg-nodes authors",
        commercial="yes",
        attribution="Background removal: rmbg-nodes, Apache-2.0.",
        training_data="none: nothing is trained",
        data_terms="open",
    ),
    Licence(
        id=NOT_ESTABLISHED,
        covers="weights of unknown licence (fine-tunes, unknown files, core's loader)",
        name="not established",
        holder="unknown",
        commercial="unknown",
        attribution="Background removal with weights whose licence is not established.",
        training_data="unknown",
        data_terms="unknown",
    ),
)

LICENCES: Mapping[str, Licence] = {row.id: row for row in _ROWS}

COMMERCIAL_MEANS = (
    "Commercial use is any of: a paid service, an internal tool inside a for-profit company, "
    "agency work billed to clients. BRIA's terms decide: "
    "https://bria.ai/bria-huggingface-model-license-agreement/"
)


def licence_of(
    licence_id: str, weights_sha256: str | None, own: Mapping[str, OwnWeights]
) -> Licence:
    """Return the row that holds for these weights: the user's, where our own says "not
    established".

    own: sha256 -> what the user's settings say of a file. Weights whose licence is known are never
    opened up by a settings row.
    """
    licence = LICENCES[licence_id]
    said = own.get(weights_sha256 or "")
    if said is None or licence.commercial != "unknown":
        return licence
    return replace(
        licence,
        covers=f"the weights {said.name}",
        name=f"{said.licence}, by your settings for {said.name} ({said.source})",
        commercial="yes" if said.commercial else "no",
        data_terms=said.data_terms,
        data_source="your settings",
        attribution=f"Background removal: {said.name}, {said.licence} ({said.source}).",
    )
