"""Runs a graph as the workers run it."""

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
from scipy.special import expit, softmax

PAD_TO = 8  # the padded length is a multiple of it


def open_session(graph: bytes | str) -> ort.InferenceSession:
    """Opens a graph (its bytes, or the path of its file) with the settings of serving."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def padded(tokens: int) -> int:
    """The length that a row of so many tokens is padded to."""
    return -(-tokens // PAD_TO) * PAD_TO


def pad(rows: Sequence[Sequence[int]], length: int = 0) -> dict[str, np.ndarray]:
    """The two inputs: zeros on the right up to the longest row (or length), rounded up to a multiple of 8."""
    shape = (len(rows), padded(max(length, *map(len, rows))))
    ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def logits(session: ort.InferenceSession, rows: Sequence[Sequence[int]], batch_size: int = 1) -> np.ndarray:
    """float32 [rows, labels]; batches are of like length, the results in the order of the rows."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    out: list[np.ndarray | None] = [None] * len(rows)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        (values,) = session.run(["logits"], pad([rows[i] for i in batch]))
        for i, value in zip(batch, values, strict=True):
            out[i] = value
    return np.array(out)


def probabilities(values: np.ndarray, multi_label: bool = False) -> np.ndarray:
    """Softmax of logits over the last axis, or a sigmoid each for a multi-label model; in float64 from float32."""
    wide = values.astype(np.float64)
    if multi_label:
        return expit(wide)
    return softmax(wide, axis=-1)
