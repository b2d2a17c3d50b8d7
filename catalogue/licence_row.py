"""What one row of licences.py says, and what a user says of a weight file of theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

DATA_TERMS_VARIABLE = "RMBG_ACCEPT_DATA_TERMS"

#: open: nothing in the terms of the training data is known to limit commercial use. restricted:
#: something does.
DataTerms: TypeAlias = Literal["open", "restricted", "unknown"]


@dataclass(frozen=True)
class Licence:
    """What a user may do with one model or service, and where that is written."""

    id: str
    covers: str
    name: str
    holder: str
    commercial: Literal["yes", "no", "terms", "unknown"]
    attribution: str
    training_data: str
    data_terms: DataTerms
    data_source: str = ""
    """Who says so of the training data, and when that was said or read."""
    model_page: str = ""
    licence_page: str = ""
    purchase_page: str = ""
    contact_page: str = ""
    grant_variable: str = ""
    note: str = ""

    @property
    def commercial_words(self) -> str:
        """The answer for a table's cell."""
        return {
            "yes": "yes",
            "no": "no, unless you hold an agreement with the publisher",
            "terms": "yes, under your account's terms",
            "unknown": "treated as no",
        }[self.commercial]

    @property
    def data_words(self) -> str:
        """What is known of the training data's own terms, for a table's cell."""
        words = {
            "open": "no limit known",
            "restricted": f"limit commercial use, so it asks for {DATA_TERMS_VARIABLE}",
            "unknown": "unknown",
        }[self.data_terms]
        return f"{words} ({self.data_source})" if self.data_source else words


@dataclass(frozen=True)
class OwnWeights:
    """What a user says of one weight file of theirs, and answers for."""

    sha256: str
    """Of that very file."""
    name: str
    licence: str
    source: str
    commercial: bool
    data_terms: DataTerms = "unknown"
    """Those of what it was trained on."""
