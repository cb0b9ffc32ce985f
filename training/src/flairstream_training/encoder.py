"""Which classifiers can be exported: those that the graph and the workers reproduce exactly.

Kinds of models are base_model's matter, known without their weights; here is how Flair uses one.
"""

import torch
from flair.embeddings import TransformerDocumentEmbeddings
from flair.embeddings.base import Embeddings
from flair.models import TextClassifier
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from . import base_model
from .errors import InputError

LARGEST = 2**31 - 2**24  # bytes in float32: protobuf's limit of 2 GiB, less what is beside the weights

_NEAREST = f"{base_model.ENGLISH} or {base_model.OTHERS}"
_INSTEAD_OF_EMBEDDINGS = (
    f"TransformerDocumentEmbeddings with mean pooling, e.g. of {base_model.SMALL} or {base_model.ENGLISH}"
)


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
    return model.config.model_type in base_model.COUNTED_PAST_PADDING


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
    base_model.check_config(model.config)
    size = 4 * sum(table.numel() for table in model.parameters())
    if size > LARGEST:
        raise InputError(
            f"cannot export an encoder of {size / 1e9:.1f} GB: an ONNX file holds {LARGEST / 1e9:.1f} GB at most. "
            f"Nearest that works: {_NEAREST}"
        )


def _faults(embeddings: TransformerDocumentEmbeddings) -> dict[str, bool]:
    """What Flair may do with such an encoder and a worker does not."""
    config, tokenizer = embeddings.model.config, embeddings.tokenizer
    most, positions = tokenizer.model_max_length, base_model.longest(config)
    use = "train anew with flairstream-train, which switches it off"
    return {
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
