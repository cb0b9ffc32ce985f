"""What is done to a text before the model sees it.

Serving must feed the very ids that Flair fed in training. That holds when Flair's word tokenizer and context are off
and special tokens are split: then Flair's ids are those of the plain Hugging Face tokenizer on the cleaned text.
"""

import logging
import warnings

from flair.data import Sentence
from tokenizers import Tokenizer

# Recorded in the manifest; a server refuses any other values.
RECORD = {"cleaning": "flair-0.15", "word_tokenizer": "none", "context": False, "split_special_tokens": True}

# What TransformerDocumentEmbeddings must be made with, for the same reason.
EMBEDDINGS = {"use_context": False, "use_context_separator": False, "allow_long_sentences": False}

logging.getLogger("flair").setLevel(logging.ERROR)  # it warns of every empty text and logs every batch
warnings.filterwarnings("ignore", category=FutureWarning, module=r"flair\.")  # of calls that its users can not change


def sentence(text: str) -> Sentence:
    """The text as Flair must see it: cleaned, split at U+0020 only."""
    return Sentence(text, use_tokenizer=False)


def clean(text: str) -> str:
    """Flair's own cleaning (Sentence._handle_problem_characters, Flair 0.15).

    Zero-width characters, U+FE0F, U+FEFF, U+2028 and U+2029 are deleted; U+0080 to U+0099 are read as windows-1252.
    """
    return Sentence._handle_problem_characters(text)


def token_ids(tokenizer: Tokenizer, text: str, max_tokens: int) -> list[int]:
    """The ids that a server feeds: [CLS] and [SEP] included, cut on the right to max_tokens.

    Empty where Flair has no token left and so gives no label: a text that is empty or all U+0020 once cleaned.
    """
    cleaned = clean(text)
    if not cleaned.strip(" "):
        return []
    ids = tokenizer.encode(cleaned).ids
    return ids if len(ids) <= max_tokens else [*ids[: max_tokens - 1], ids[-1]]
