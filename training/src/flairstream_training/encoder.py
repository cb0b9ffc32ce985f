"""Which classifiers can be exported: those that the graph and the workers reproduce exactly.

Any encoder whose layers are BERT's; for all else the reason, and the nearest thing that works.
"""

import torch
from flair.embeddings import TransformerDocumentEmbeddings
from flair.embeddings.base import Embeddings
from flair.models import TextClassifier
from transformers import (
    BertModel,
    CamembertModel,
    DistilBertModel,
    ElectraModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaModel,
    XLMRobertaModel,
)

from . import base_model
from .errors import InputError

_COUNTED = (RobertaModel, XLMRobertaModel, CamembertModel)  # their positions are counted past padding
_SERVED = (BertModel, DistilBertModel, ElectraModel, *_COUNTED)
_NAMES = "BERT, DistilBERT, ELECTRA, RoBERTa, XLM-RoBERTa and CamemBERT"

LARGEST = 2**31 - 2**24  # bytes in float32: protobuf's limit of 2 GiB, less what is beside the weights

_SMALL, _ENGLISH, _OTHERS = "sentence-transformers/all-MiniLM-L6-v2", "roberta-base", "xlm-roberta-base"
_LONG = f"{_ENGLISH}, whose texts end at 512 tokens"

# Why an encoder's layers are not BERT's, and what to take in its place.
_INSTEAD = {
    "albert": ("all its layers share their weights", f"{_SMALL} or distilbert-base-uncased"),
    "bart": ("it has a decoder", _ENGLISH),
    "big_bird": ("its attention is sparse", _LONG),
    "deberta": ("its attention weighs relative positions", _ENGLISH),
    "deberta-v2": ("its attention weighs relative positions", f"{_ENGLISH}, or {_OTHERS} for many languages"),
    "gpt2": ("it reads from left to right only", _ENGLISH),
    "longformer": ("its attention is sparse", _LONG),
    "modernbert": ("its positions are rotary and most of its attention is local", _LONG),
    "mpnet": ("its attention adds relative positions", f"sentence-transformers/all-MiniLM-L12-v2 or {_ENGLISH}"),
    "t5": ("its attention adds relative positions", _ENGLISH),
    "mt5": ("its attention adds relative positions", _OTHERS),
    "xlnet": ("its attention is relative and has its classification token last", _ENGLISH),
}

_INSTEAD_OF_EMBEDDINGS = f"TransformerDocumentEmbeddings with mean pooling, e.g. of {_SMALL} or {_ENGLISH}"


def check(classifier: TextClassifier) -> None:
    """Raises InputError for what the exported graph would not compute exactly as Flair does."""
    embeddings = classifier.embeddings
    if not isinstance(embeddings, TransformerDocumentEmbeddings):
        raise InputError(f"cannot export {_described(embeddings)}. Nearest that works: {_INSTEAD_OF_EMBEDDINGS}")
    _check_model(embeddings.model)
    faults = _faults(embeddings) | _faults_of_head(classifier)
    for fault, present in faults.items():
        if present:
            raise InputError(f"cannot export this classifier exactly: {fault}")


def positions_past_padding(model: PreTrainedModel) -> bool:
    """Whether tokens with the id of padding get padding's position, and the others are counted without them."""
    return isinstance(model, _COUNTED)


def padding_can_be_typed(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Whether a text can have the id of padding: Unigram has "<pad>" among its pieces."""
    return type(tokenizer.backend_tokenizer.model).__name__ == "Unigram"


def _described(embeddings: Embeddings) -> str:
    """The embeddings, what they are made of, and why workers can not run them."""
    name, parts = type(embeddings).__name__, [type(part).__name__ for part in _parts(embeddings)]
    if "FlairEmbeddings" in (name, *parts):
        reason = "a language model over characters, which runs one character after the other"
    elif parts:
        reason = "it embeds word by word, and workers split no text into words"
    else:
        reason = "workers run one transformer and a linear layer"
    return f"{name}{' of ' if parts else ''}{', '.join(dict.fromkeys(parts))}: {reason}"


def _parts(embeddings: Embeddings) -> list[Embeddings]:
    """What pooled and stacked embeddings are made of in the end."""
    below = getattr(embeddings, "embeddings", None)
    if below is None:
        return []
    below = [below] if isinstance(below, Embeddings) else list(below)
    return [part for each in below for part in (_parts(each) or [each])]


def _check_model(model: PreTrainedModel) -> None:
    if isinstance(model, _SERVED):
        size = 4 * sum(table.numel() for table in model.parameters())
        if size > LARGEST:
            raise InputError(
                f"cannot export an encoder of {size / 1e9:.1f} GB: an ONNX file holds {LARGEST / 1e9:.1f} GB at most. "
                f"Nearest that works: {_ENGLISH} or {_OTHERS}"
            )
        return
    kind = model.config.model_type
    reason, nearest = _INSTEAD.get(kind, ("its layers are not BERT's", f"{_ENGLISH} or {_OTHERS}"))
    raise InputError(
        f'cannot export a model of type "{kind}": {reason}. Served are {_NAMES}; nearest that works: {nearest}'
    )


def _faults(embeddings: TransformerDocumentEmbeddings) -> dict[str, bool]:
    """What Flair may do with such an encoder and a worker does not."""
    config, tokenizer = embeddings.model.config, embeddings.tokenizer
    activation = getattr(config, "hidden_act", None) or getattr(config, "activation", "none")
    most, positions = tokenizer.model_max_length, base_model.longest(config)
    use = "train anew with flairstream-train, which switches it off"
    return {
        f'activation "{activation}": only "gelu"': activation != "gelu",
        "position embeddings other than absolute": getattr(config, "position_embedding_type", "absolute") != "absolute",
        f"padding with id {tokenizer.pad_token_id}, where the model has {config.pad_token_id}": (
            positions_past_padding(embeddings.model) and tokenizer.pad_token_id != config.pad_token_id
        ),
        f'pooling "{embeddings.cls_pooling}": only "mean" and "cls"': embeddings.cls_pooling not in ("mean", "cls"),
        f"texts of up to {most} tokens, with {positions} positions": most > positions,
        "layers other than the last: train with layers='-1'": embeddings.layer_indexes != [-1],
        f"context from neighbouring sentences (use_context): {use}": (
            embeddings.context_length != 0 or embeddings.use_context_separator
        ),
        f"texts split into windows (allow_long_sentences): {use}": embeddings.allow_long_sentences,
        f"special tokens read from text (split_special_tokens is off): {use}": not tokenizer.split_special_tokens,
        "a classification token that is not the first": not embeddings.initial_cls_token,
    }


def _faults_of_head(classifier: TextClassifier) -> dict[str, bool]:
    thresholds = set(classifier.multi_label_threshold.values())
    return {
        "a decoder that is not one linear layer": not isinstance(classifier.decoder, torch.nn.Linear),
        "a threshold for each label: one for all": classifier.multi_label and len(thresholds) > 1,
    }
