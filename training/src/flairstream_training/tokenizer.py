"""The tokenizer as the bundle carries it."""

import json

from flair.models import TextClassifier
from tokenizers import Tokenizer

from .errors import InputError

# What flairstream's tokenizer in Go implements.
_PARTS = {"model": {"WordPiece"}, "normalizer": {"BertNormalizer"}, "pre_tokenizer": {"BertPreTokenizer"}}


def serving_json(classifier: TextClassifier) -> str:
    """tokenizer.json with truncation and padding null and no added tokens.

    Without added tokens a text that looks like a special token is text, as with split_special_tokens in training;
    [CLS] and [SEP] come from the post-processor.
    """
    tokenizer = classifier.embeddings.tokenizer
    if not tokenizer.is_fast:
        raise InputError("the base model has no tokenizer.json (a fast tokenizer): only such can be served")
    if tokenizer.pad_token_id != 0:
        raise InputError(f"the tokenizer pads with id {tokenizer.pad_token_id}: only 0 can be served")
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    for part, known in _PARTS.items():
        kind = (content.get(part) or {}).get("type", "none")
        if kind not in known:
            raise InputError(f"the tokenizer's {part} is {kind}: only {', '.join(known)} can be served")
    content.update(truncation=None, padding=None, added_tokens=[])
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n"


def load(content: str) -> Tokenizer:
    """Opens what serving_json gave."""
    return Tokenizer.from_str(content)
