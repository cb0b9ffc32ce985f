"""The tokenizer as the bundle carries it."""

import json

from flair.models import TextClassifier
from tokenizers import Tokenizer

from .errors import InputError

# What flairstream's tokenizer in Go does: the kinds of model, and the steps before each.
_SERVED = {
    "WordPiece": {"normalizer": {"BertNormalizer"}, "pre_tokenizer": {"BertPreTokenizer"}},
    "BPE": {"normalizer": set(), "pre_tokenizer": {"ByteLevel"}},
    "Unigram": {
        "normalizer": {"Precompiled", "Replace", "Strip"},
        "pre_tokenizer": {"Metaspace", "WhitespaceSplit"},
    },
}

_POST_PROCESSORS = ("TemplateProcessing", "BertProcessing", "RobertaProcessing")

# Options of BPE and Unigram that it does without, and what they must be if they are there.
_OFF = ("dropout", "byte_fallback", "ignore_merges", "fuse_unk")

_NEAREST = "nearest that works: a base model with the tokenizer of BERT, RoBERTa or XLM-RoBERTa"


def serving_json(classifier: TextClassifier) -> str:
    """tokenizer.json with truncation and padding null and no added tokens.

    Without added tokens a text that looks like a special token is text, as with split_special_tokens in training;
    those at a text's ends come from the post-processor.
    """
    tokenizer = classifier.embeddings.tokenizer
    if not tokenizer.is_fast:
        raise InputError(f"the base model has no tokenizer.json (a fast tokenizer); {_NEAREST}")
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    _check(content)
    content.update(truncation=None, padding=None, added_tokens=[])
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n"


def load(content: str) -> Tokenizer:
    """Opens what serving_json gave."""
    return Tokenizer.from_str(content)


def _check(content: dict) -> None:
    model = content["model"]
    if model["type"] not in _SERVED:
        raise InputError(f"the tokenizer's model is {model['type']}: served are {', '.join(_SERVED)}; {_NEAREST}")
    for part, served in _SERVED[model["type"]].items():
        for kind in _kinds(content[part]) or ["none"]:
            if kind not in (served or {"none"}):
                wanted = " and ".join(sorted(served)) or "none"
                raise InputError(f"the tokenizer's {part} is {kind}: with {model['type']} want {wanted}; {_NEAREST}")
    for option in _OFF:
        if model.get(option):
            raise InputError(f"the tokenizer's {option} is {model[option]}: it can not be served; {_NEAREST}")
    after = (content["post_processor"] or {}).get("type", "none")
    if after not in _POST_PROCESSORS:
        raise InputError(f"the tokenizer's post_processor is {after}: want {' or '.join(_POST_PROCESSORS)}; {_NEAREST}")
    words = [token["content"] for token in content["added_tokens"] if not token["special"]]
    if words:
        raise InputError(f'the tokenizer has words added to it, as "{words[0]}": they can not be served; {_NEAREST}')


def _kinds(part: dict | None) -> list[str]:
    """The steps of a normalizer or pre-tokenizer, sequences taken apart."""
    if part is None:
        return []
    steps = part.get("normalizers") or part.get("pretokenizers")
    return [part["type"]] if steps is None else [kind for step in steps for kind in _kinds(step)]
