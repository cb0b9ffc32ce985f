"""The numbers of a trained classifier, taken out of Flair: of any encoder whose layers are BERT's."""

from dataclasses import dataclass

import numpy as np
import torch
from flair.models import TextClassifier
from transformers import DistilBertModel

from . import encoder


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

    words: np.ndarray  # [vocabulary, width]
    positions: np.ndarray  # [position, width], the embedding of token type 0 added
    norm: Norm
    layers: list[Layer]
    decoder: Dense
    heads: int
    epsilon: float
    pooling: str
    projection: Dense | None = None  # from the embeddings' width to the layers', where they differ
    padding: int | None = None  # its id, where a text can have it too (typed, with Unigram); None where none can
    positions_past_padding: bool = False  # they are counted without it, and its own row stands last

    @property
    def hidden_size(self) -> int:
        return self.decoder.weight.shape[0]


def extract(classifier: TextClassifier) -> Weights:
    """Copies the weights out as float32 arrays."""
    encoder.check(classifier)
    embeddings = classifier.embeddings
    model, typed = embeddings.model, encoder.padding_can_be_typed(embeddings.tokenizer)
    table, past_padding = model.embeddings, encoder.positions_past_padding(model)
    projection = getattr(model, "embeddings_project", None)
    return Weights(
        words=_array(table.word_embeddings.weight),
        positions=_positions(table, past_padding),
        norm=_norm(table.LayerNorm),
        projection=None if projection is None else _dense(projection),
        layers=[*map(_distilled, model.transformer.layer)]
        if isinstance(model, DistilBertModel)
        else [*map(_layer, model.encoder.layer)],
        decoder=_dense(classifier.decoder),
        heads=model.config.num_attention_heads,
        epsilon=table.LayerNorm.eps,
        pooling=embeddings.cls_pooling,
        padding=embeddings.tokenizer.pad_token_id if typed else None,
        positions_past_padding=past_padding,
    )


def _positions(table, past_padding: bool) -> np.ndarray:
    """Row by row as a text's tokens meet them; RoBERTa's first token stands behind padding's row, which goes last."""
    positions = _array(table.position_embeddings.weight)
    if past_padding:
        first = table.position_embeddings.padding_idx + 1
        positions = np.concatenate([positions[first:], positions[first - 1 : first]])
    types = getattr(table, "token_type_embeddings", None)
    return positions if types is None else positions + _array(types.weight)[0]


def _layer(layer) -> Layer:
    """Of BERT and of those that keep its names."""
    attention = layer.attention.self
    return Layer(
        query=_query(attention.query, attention.attention_head_size),
        key=_dense(attention.key),
        value=_dense(attention.value),
        attention_output=_dense(layer.attention.output.dense),
        attention_norm=_norm(layer.attention.output.LayerNorm),
        wide=_dense(layer.intermediate.dense),
        narrow=_dense(layer.output.dense),
        norm=_norm(layer.output.LayerNorm),
    )


def _distilled(layer) -> Layer:
    attention = layer.attention
    return Layer(
        query=_query(attention.q_lin, attention.attention_head_size),
        key=_dense(attention.k_lin),
        value=_dense(attention.v_lin),
        attention_output=_dense(attention.out_lin),
        attention_norm=_norm(layer.sa_layer_norm),
        wide=_dense(layer.ffn.lin1),
        narrow=_dense(layer.ffn.lin2),
        norm=_norm(layer.output_layer_norm),
    )


def _query(linear: torch.nn.Linear, width: int) -> Dense:
    query, root = _dense(linear), np.float32(np.sqrt(width))
    return Dense(query.weight / root, query.bias / root)


def _dense(linear: torch.nn.Linear) -> Dense:
    return Dense(_array(linear.weight).T, _array(linear.bias))


def _norm(norm: torch.nn.LayerNorm) -> Norm:
    return Norm(_array(norm.weight), _array(norm.bias))


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().float().numpy()
