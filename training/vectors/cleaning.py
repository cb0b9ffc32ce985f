"""What Flair 0.15 does to a text before it tokenizes it, written again without Flair.

Source: flair/data.py, Sentence._handle_problem_characters (github.com/flairNLP/flair, v0.15.1), and
flair/tokenization.py, SpaceTokenizer.
"""

_DELETED = str.maketrans("", "", "\u200c\u200b\ufe0f\ufeff\u2028\u2029")


def _windows_1252() -> dict[int, str]:
    """Map U+0080 to U+0099 to what these bytes mean in windows-1252; the four undefined ones are deleted."""
    return {code: bytes([code]).decode("windows-1252", errors="ignore") for code in range(0x80, 0x9A)}


_WINDOWS_1252 = _windows_1252()


def clean(text: str) -> str:
    """Return the text as Flair's Sentence keeps it."""
    return text.translate(_DELETED).translate(_WINDOWS_1252)


def is_empty(cleaned: str) -> bool:
    """Tell whether SpaceTokenizer, which splits at U+0020 alone, finds no word: Flair then gives no label."""
    return not cleaned.strip(" ")
