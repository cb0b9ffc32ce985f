"""The numbers of a trained classifier, taken out of Flair and checked for what the graph can reproduce."""

from dataclasses import dataclass

import numpy as np
import torch
from flair.embeddings import TransformerDocumentEmbeddings
from flair.models import TextClassifier
from transformers import BertModel

from .errors import InputError


@dataclass(frozen=True)
class Dense:
    """weight [in, out], bias [out]."""

    weight: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Norm:
    """scale and shift [width]."""

    scale: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class Layer:
    """One encoder layer; the division of the scores by the root of the head's width is in query."""

    query: Dense
    key: Dense
    value: Dense
    attention_output: Dense
    attention_norm: Norm
    wide: Dense
    narrow: Dense
    norm: Norm


@dataclass(frozen=True)
class Weights:
    """The whole classifier: embeddings, layers, pooling ("cls" or "mean"), decoder."""

    words: np.ndarray  # [vocabulary, hidden]
    positions: np.ndarray  # [position, hidden], the embedding of token type 0 added
    norm: Norm
    layers: list[Layer]
    decoder: Dense
    heads: int
    epsilon: float
    pooling: str

    @property
    def hidden_size(self) -> int:
        return self.words.shape[1]


def check(classifier: TextClassifier) -> None:
    """Refuses what the exported graph would not compute exactly as Flair does."""
    embeddings = classifier.embeddings
    if not isinstance(embeddings, TransformerDocumentEmbeddings):
        raise InputError(f"cannot export {type(embeddings).__name__}: only TransformerDocumentEmbeddings")
    config = embeddings.model.config
    activation = getattr(config, "hidden_act", "none")
    longest, positions = embeddings.tokenizer.model_max_length, getattr(config, "max_position_embeddings", 0)
    faults = {
        f'a model of type "{config.model_type}": only "bert"': not isinstance(embeddings.model, BertModel),
        f'activation "{activation}": only "gelu"': activation != "gelu",
        "position embeddings other than absolute": getattr(config, "position_embedding_type", "") != "absolute",
        f'pooling "{embeddings.cls_pooling}": only "mean" and "cls"': embeddings.cls_pooling not in ("mean", "cls"),
        f"texts of up to {longest} tokens, with {positions} positions": longest > positions,
        "layers other than the last": embeddings.layer_indexes != [-1],
        "context from neighbouring sentences": embeddings.context_length != 0 or embeddings.use_context_separator,
        "texts split into windows (allow_long_sentences)": embeddings.allow_long_sentences,
        "special tokens read from text (split_special_tokens is off)": not embeddings.tokenizer.split_special_tokens,
        "multi-label": classifier.multi_label,
        "a decoder that is not one linear layer": not isinstance(classifier.decoder, torch.nn.Linear),
    }
    for fault, present in faults.items():
        if present:
            raise InputError(f"cannot export this classifier exactly: {fault}")


def extract(classifier: TextClassifier) -> Weights:
    """Copies the weights out as float32 arrays."""
    check(classifier)
    embeddings = classifier.embeddings
    model: BertModel = embeddings.model
    table = model.embeddings
    return Weights(
        words=_array(table.word_embeddings.weight),
        positions=_array(table.position_embeddings.weight) + _array(table.token_type_embeddings.weight)[0],
        norm=_norm(table.LayerNorm),
        layers=[_layer(layer) for layer in model.encoder.layer],
        decoder=_dense(classifier.decoder),
        heads=model.config.num_attention_heads,
        epsilon=model.config.layer_norm_eps,
        pooling=embeddings.cls_pooling,
    )


def _layer(layer) -> Layer:
    attention = layer.attention.self
    query, root = _dense(attention.query), np.float32(np.sqrt(attention.attention_head_size))
    return Layer(
        query=Dense(query.weight / root, query.bias / root),
        key=_dense(attention.key),
        value=_dense(attention.value),
        attention_output=_dense(layer.attention.output.dense),
        attention_norm=_norm(layer.attention.output.LayerNorm),
        wide=_dense(layer.intermediate.dense),
        narrow=_dense(layer.output.dense),
        norm=_norm(layer.output.LayerNorm),
    )


def _dense(linear: torch.nn.Linear) -> Dense:
    return Dense(_array(linear.weight).T, _array(linear.bias))


def _norm(norm: torch.nn.LayerNorm) -> Norm:
    return Norm(_array(norm.weight), _array(norm.bias))


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().float().numpy()
