"""Which language a text is in: a guess for tables of figures, never for a verdict.

langid's n-gram model (Lui and Baldwin 2012) as py3langid ships it: offline, 139 languages, 4.5 MB.
"""

from __future__ import annotations

from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

UNKNOWN = "und"  # ISO 639's code for it: too short, no words, or several languages
SUREST = 0.5
# More makes it no surer and takes longer.
CHARACTERS = 1000
NO_LANGUAGE = "zxx"  # ISO 639: numbers, code


def language_of(text: str) -> str:
    """The ISO 639 code of the language, or UNKNOWN. Reads the first 1000 characters."""
    found, confidence = _identifier().classify(
        " ".join(text[: 2 * CHARACTERS].split())[:CHARACTERS]
    )
    return UNKNOWN if confidence < SUREST or found == NO_LANGUAGE else str(found)


@cache
def _identifier() -> LanguageIdentifier:
    """The model; it takes a second to unpack."""
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
