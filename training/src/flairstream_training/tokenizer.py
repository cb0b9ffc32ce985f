"""The tokenizer as the bundle carries it."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from .errors import InputError

if TYPE_CHECKING:
    from flair.models import TextClassifier  # takes seconds to import

# What flairstream's tokenizer in Go does: the kinds of model, and the steps before each, in this order.
_SERVED = {
    "WordPiece": {"normalizer": ("BertNormalizer",), "pre_tokenizer": ("BertPreTokenizer",)},
    "BPE": {"normalizer": (), "pre_tokenizer": ("ByteLevel",)},
    "Unigram": {
        "normalizer": ("Precompiled", "Strip", "Replace"),
        "pre_tokenizer": ("WhitespaceSplit", "Metaspace"),
    },
}
_LAST = ("BertNormalizer", "BertPreTokenizer", "ByteLevel", "Metaspace")  # steps that cannot be left out

_MARK = "▁"  # for a space, in SentencePiece's vocabularies

# What the options of a step or model must be, where they are there.
_OPTIONS = {
    "BPE": {
        "dropout": (None, 0.0),
        "byte_fallback": (False,),
        "ignore_merges": (False,),
        "fuse_unk": (False,),
        "continuing_subword_prefix": (None, ""),
        "end_of_word_suffix": (None, ""),
    },
    "Unigram": {"byte_fallback": (False,)},
    "ByteLevel": {"use_regex": (True,)},
    "Strip": {"strip_left": (False,), "strip_right": (True,)},
    "Replace": {"pattern": ({"Regex": " {2,}"},), "content": (" ", _MARK)},
    "Metaspace": {
        "replacement": (_MARK,),
        "prepend_scheme": ("always",),
        "split": (True,),
        "add_prefix_space": (True,),
    },
}

_POST_PROCESSORS = ("TemplateProcessing", "BertProcessing", "RobertaProcessing")

_NEAREST = "nearest that works: a base model with the tokenizer of BERT, RoBERTa or XLM-RoBERTa"


def serving_json(classifier: "TextClassifier") -> str:
    """tokenizer.json with truncation and padding null and no added tokens.

    Without added tokens a text that looks like a special token is text, as with split_special_tokens in training;
    those at a text's ends come from the post-processor.
    """
    tokenizer = classifier.embeddings.tokenizer
    if not tokenizer.is_fast:
        raise InputError(f"the base model has no tokenizer.json (a fast tokenizer); {_NEAREST}")
    content = _checked(tokenizer.backend_tokenizer)
    content.update(truncation=None, padding=None, added_tokens=[])
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n"


def load(content: str) -> Tokenizer:
    """Opens what serving_json gave."""
    return Tokenizer.from_str(content)


def check(tokenizer: Tokenizer) -> None:
    """Raises InputError for a tokenizer that the workers' would not be equal to."""
    _checked(tokenizer)


def _checked(tokenizer: Tokenizer) -> dict:
    content = json.loads(tokenizer.to_str())
    for fault in _faults(content):
        raise InputError(f"the tokenizer's {fault}; {_NEAREST}")
    return content


def _faults(content: dict) -> Iterator[str]:
    model = content["model"]
    if model["type"] not in _SERVED:
        yield f"model is {model['type']}: served are {', '.join(_SERVED)}"
        return
    yield from _faults_of_options(model)
    if model["type"] == "Unigram" and model.get("unk_id") is None:
        yield "model has no unk_id: one of its pieces must stand for what is unknown"
    found = []
    for part, served in _SERVED[model["type"]].items():
        steps = _steps(content[part], served)
        yield from _faults_of_steps(part, steps, served)
        found += steps
    if any(step["type"] == "WhitespaceSplit" for step in found) and any(step.get("content") == _MARK for step in found):
        yield f'pre_tokenizer is WhitespaceSplit behind a Replace by "{_MARK}"'
    after = (content["post_processor"] or {}).get("type", "none")
    if after not in _POST_PROCESSORS:
        yield f"post_processor is {after}: want {' or '.join(_POST_PROCESSORS)}"
    for word in content["added_tokens"]:
        if not word["special"]:
            yield f'vocabulary has words added to it, as "{word["content"]}": they can not be served'


def _faults_of_steps(part: str, steps: list[dict], served: tuple[str, ...]) -> Iterator[str]:
    kinds = [step["type"] for step in steps]
    needed = [kind for kind in served if kind in _LAST]
    if kinds != [kind for kind in served if kind in kinds] or not set(needed) <= set(kinds):
        found, wanted = (", ".join(each) or "none" for each in (kinds, served))
        yield f"{part} is {found}: want {wanted}{', in this order' if len(served) > 1 else ''}"
    for step in steps:
        yield from _faults_of_options(step)


def _faults_of_options(step: dict) -> Iterator[str]:
    for option, wanted in _OPTIONS.get(step["type"], {}).items():
        if option in step and step[option] not in wanted:
            yield f"{step['type']} has {option} {json.dumps(step[option], ensure_ascii=False)}: it can not be served"


def _steps(part: dict | None, served: tuple[str, ...]) -> list[dict]:
    """Those of a normalizer or pre-tokenizer, a sequence taken apart where several are served."""
    if part is None:
        return []
    if part["type"] == "Sequence" and len(served) > 1:
        return part.get("normalizers") or part.get("pretokenizers") or [part]
    return [part]
