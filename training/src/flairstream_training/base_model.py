"""What a base model's folder says without its weights: its kind, its tokenizer, and whether it can be exported.

Any encoder whose layers are BERT's; for all else the reason, and the nearest thing that works.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from . import tokenizer as kinds
from .errors import InputError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# In these kinds positions are counted from after the padding's id.
COUNTED_PAST_PADDING = ("roberta", "xlm-roberta", "camembert")
_SERVED = ("bert", "distilbert", "electra", *COUNTED_PAST_PADDING)
_NAMES = "BERT, DistilBERT, ELECTRA, RoBERTa, XLM-RoBERTa and CamemBERT"

SMALL, ENGLISH, OTHERS = "sentence-transformers/all-MiniLM-L6-v2", "roberta-base", "xlm-roberta-base"
_LONG = f"{ENGLISH}, whose texts end at 512 tokens"

# Why an encoder's layers are not BERT's, and what to take in its place.
_INSTEAD = {
    "albert": ("all its layers share their weights", f"{SMALL} or distilbert-base-uncased"),
    "bart": ("it has a decoder", ENGLISH),
    "big_bird": ("its attention is sparse", _LONG),
    "deberta": ("its attention weighs relative positions", ENGLISH),
    "deberta-v2": ("its attention weighs relative positions", f"{ENGLISH}, or {OTHERS} for many languages"),
    "gpt2": ("it reads from left to right only", ENGLISH),
    "longformer": ("its attention is sparse", _LONG),
    "modernbert": ("its positions are rotary and most of its attention is local", _LONG),
    "mpnet": ("its attention adds relative positions", f"sentence-transformers/all-MiniLM-L12-v2 or {ENGLISH}"),
    "t5": ("its attention adds relative positions", ENGLISH),
    "mt5": ("its attention adds relative positions", OTHERS),
    "xlnet": ("its attention is relative and has its classification token last", ENGLISH),
}


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


def check(base: str) -> Tokenizer:
    """Refuses a base model that could not be exported, before anything is spent on it; gives its tokenizer."""
    config = _config(base)
    with _naming(base):
        check_config(config)
    opened = tokenizer(base)
    with _naming(base):
        kinds.check(opened)
    return opened


@contextlib.contextmanager
def _naming(base: str) -> Iterator[None]:
    try:
        yield
    except InputError as err:
        raise InputError(f"base model {base}: {err}") from None


def check_config(config: "PretrainedConfig") -> None:
    """Raises InputError for a kind of model that the exported graph would not compute exactly."""
    kind = config.model_type
    if kind not in _SERVED:
        reason, nearest = _INSTEAD.get(kind, ("its layers are not BERT's", f"{ENGLISH} or {OTHERS}"))
        raise InputError(
            f'cannot export a model of type "{kind}": {reason}. Served are {_NAMES}; nearest that works: {nearest}'
        )
    activation = getattr(config, "hidden_act", None) or getattr(config, "activation", "none")
    if activation != "gelu":
        raise InputError(f'cannot export a model with the activation "{activation}": only "gelu"')
    if getattr(config, "position_embedding_type", "absolute") != "absolute":
        raise InputError("cannot export a model with position embeddings other than absolute")


def limit(base: str, max_tokens: int) -> int:
    """max_tokens, lowered to the positions that a base model has."""
    return min(max_tokens, longest(_config(base)) or max_tokens)


def _config(base: str) -> "PretrainedConfig":
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(base)
    except Exception as err:  # as above
        raise refused(base, err) from None


def longest(config: "PretrainedConfig") -> int | None:
    """The most tokens that a model of this configuration has positions for; None where it sets no limit."""
    positions = getattr(config, "max_position_embeddings", None)
    return positions - config.pad_token_id - 1 if config.model_type in COUNTED_PAST_PADDING else positions


def refused(base: str, err: Exception) -> InputError:
    """What to say of a base model that cannot be opened."""
    reason = str(err).strip().partition("\n")[0]
    return InputError(f"base model {base}: want a Hugging Face model folder or a hub name: {reason}")
