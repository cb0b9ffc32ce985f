"""What is done to a text before the model sees it.

Serving must feed the very ids that Flair fed in training. That holds when Flair's word tokenizer and context are off
and special tokens are split: then Flair's ids are those of the plain Hugging Face tokenizer on the cleaned text.
"""

import functools
import logging
import warnings
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

if TYPE_CHECKING:
    from flair.data import Sentence

# Recorded in the manifest; a server refuses any other values.
RECORD = {"cleaning": "flair-0.15", "word_tokenizer": "none", "context": False, "split_special_tokens": True}

# What TransformerDocumentEmbeddings must be made with, for the same reason.
EMBEDDINGS = {"use_context": False, "use_context_separator": False, "allow_long_sentences": False}

_CLEANED = str.maketrans(
    dict.fromkeys("\u200b\u200c\u2028\u2029\ufe0f\ufeff", "")
    | {chr(code): bytes([code]).decode("windows-1252", errors="ignore") for code in range(0x80, 0x9A)}
)


def sentence(text: str) -> "Sentence":
    """The text as Flair must see it: cleaned, and one word, so that nothing but the model's tokenizer splits it."""
    made, whole = _flair()
    return made(text, use_tokenizer=whole)


@functools.cache
def _flair():
    """Flair's Sentence, and a word tokenizer that splits nothing. Flair is imported, which takes seconds, only here."""
    from flair.data import Sentence
    from flair.tokenization import Tokenizer as WordTokenizer

    class Whole(WordTokenizer):
        """A text of nothing but U+0020 has no word and so gets no label, as with Flair's SpaceTokenizer."""

        def tokenize(self, text: str) -> list[str]:
            return [text] if text.strip(" ") else []

    logging.getLogger("flair").setLevel(logging.ERROR)  # it warns of every empty text and logs every batch
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"flair\.")  # of calls its users can not change
    return Sentence, Whole()


def clean(text: str) -> str:
    """What Flair does to a text before all else (Sentence._handle_problem_characters, Flair 0.15).

    Zero-width characters, U+FE0F, U+FEFF, U+2028 and U+2029 are deleted; U+0080 to U+0099 are read as windows-1252.
    """
    return text.translate(_CLEANED)


def token_ids(tokenizer: Tokenizer, text: str, max_tokens: int) -> list[int]:
    """The ids that a server feeds: [CLS] and [SEP] included, cut on the right to max_tokens.

    Empty where Flair has no token left and so gives no label: a text that is empty or all U+0020 once cleaned.
    """
    cleaned = clean(text)
    if not cleaned.strip(" "):
        return []
    ids = tokenizer.encode(cleaned).ids
    return ids if len(ids) <= max_tokens else [*ids[: max_tokens - 1], ids[-1]]
