"""The base model's tokenizer and its limit, without its weights."""

from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from .errors import InputError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# In these kinds positions are counted from after the padding's id.
_COUNTED_PAST_PADDING = ("roberta", "xlm-roberta", "camembert")


def name(base: str) -> str:
    """What a model card calls a base model: its name on the hub; a folder's path says nothing."""
    return "not stated" if Path(base).is_dir() else base


def tokenizer(base: str) -> Tokenizer:
    """The tokenizer of a base model (folder or hub name), without cutting and padding."""
    from transformers import AutoTokenizer

    try:
        opened = AutoTokenizer.from_pretrained(base, use_fast=True)
    except Exception as err:  # each library below raises its own
        raise refused(base, err) from None
    if not opened.is_fast:
        raise InputError(f"base model {base}: it has no tokenizer.json (a fast tokenizer): only such can be served")
    opened.backend_tokenizer.no_truncation()
    opened.backend_tokenizer.no_padding()
    return opened.backend_tokenizer


def limit(base: str, max_tokens: int) -> int:
    """max_tokens, lowered to the positions that a base model has."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(base)
    except Exception as err:  # as above
        raise refused(base, err) from None
    return min(max_tokens, longest(config) or max_tokens)


def longest(config: "PretrainedConfig") -> int | None:
    """The most tokens that a model of this configuration has positions for; None where it sets no limit."""
    positions = getattr(config, "max_position_embeddings", None)
    return positions - config.pad_token_id - 1 if config.model_type in _COUNTED_PAST_PADDING else positions


def refused(base: str, err: Exception) -> InputError:
    """What to say of a base model that cannot be opened."""
    reason = str(err).strip().partition("\n")[0]
    return InputError(f"base model {base}: want a Hugging Face model folder or a hub name: {reason}")
