"""From a trained Flair classifier to a bundle, checked against Flair before it is written."""

import datetime
import json
import platform
import random
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from flair.models import TextClassifier
from tokenizers import Tokenizer

from . import __version__, bundle, card, evaluate, golden, preprocessing, quantize, tokenizer
from .data import Dataset
from .errors import InputError
from .graph import Float32, build
from .weights import extract

CALIBRATION_TEXTS = 300
AGREEMENT = 0.99  # least share of test rows on which the served graph gives Flair's label

# Largest |dp| on a golden text, as a server may see it. graph: the served graph there and when exported; flair: the
# served graph there and Flair. Another kind of CPU rounds the last bit of float32 differently, which int8 amplifies.
TOLERANCES = {bundle.FP32: {"graph": 1e-4, "flair": 1e-3}, bundle.INT8: {"graph": 0.15, "flair": 0.4}}

_REMEDY = "export with --graphs fp32, or train longer: a model that is unsure suffers most from int8"


@dataclass(frozen=True)
class Request:
    """What to write, and what the model card says of where it came from."""

    out: Path
    identity: bundle.Identity
    graphs: tuple[str, ...] = (bundle.FP32, bundle.INT8)  # the last one is served
    golden: Path | None = None
    notices: tuple[Path, ...] = ()
    base_name: str = "not stated"
    base_licence: str = "not stated"


def export(classifier: TextClassifier, dataset: Dataset, request: Request, hyper_parameters: dict) -> dict:
    """Builds, checks and writes the bundle; returns its manifest with the model digest added."""
    labels = classifier.label_dictionary.get_items()
    if labels != dataset.labels:
        raise InputError("the model's labels are not those of the data: export it with the data it was trained on")
    tokenizer_json = tokenizer.serving_json(classifier)
    encoder, max_tokens = tokenizer.load(tokenizer_json), classifier.embeddings.tokenizer.model_max_length
    built = _graphs(classifier, dataset, encoder, max_tokens)
    texts = golden.texts(request.golden)
    goldens = {name: golden.make(classifier, encoder, graph, max_tokens, texts) for name, graph in built.items()}
    served, graphs = request.graphs[-1], {name: built[name] for name in request.graphs}
    _refuse_difference(goldens, served)
    metrics = _measure(classifier, dataset, encoder, max_tokens, graphs)
    _refuse_disagreement(served, metrics["served"])

    manifest = {
        "format": bundle.FORMAT,
        "name": request.identity.name,
        "version": request.identity.version,
        "task": "single_label",
        "labels": labels,
        "max_tokens": max_tokens,
        "hidden_size": classifier.embeddings.embedding_length,
        "preprocessing": preprocessing.RECORD,
        "graph": served,
        "tolerances": TOLERANCES[served],
        "provenance": _provenance(dataset, request, hyper_parameters, metrics),
    }
    files = {
        **graphs,
        "config.json": _config(classifier, labels),
        "tokenizer.json": tokenizer_json.encode(),
        "golden.jsonl": goldens[served].content(),
        "README.md": card.write(manifest).encode(),
        **{path.name: path.read_bytes() for path in request.notices},
    }
    return {**manifest, "digest": bundle.write(request.out, files, manifest)}


def _graphs(classifier: TextClassifier, dataset: Dataset, encoder: Tokenizer, max_tokens: int) -> dict[str, bytes]:
    weights = extract(classifier)
    models = {
        bundle.FP32: build(weights, Float32()),
        bundle.INT8: quantize.int8(weights, calibration_ids(dataset, encoder, max_tokens)),
    }
    return {name: model.SerializeToString() for name, model in models.items()}


def calibration_ids(dataset: Dataset, encoder: Tokenizer, max_tokens: int) -> list[list[int]]:
    """The token ids of a few hundred validation texts, always the same ones, and of the awkward texts."""
    texts = [row.text for row in dataset.validation]
    sample = random.Random(0).sample(texts, min(CALIBRATION_TEXTS, len(texts)))
    return [ids for ids in evaluate.token_ids(encoder, [*sample, *golden.AWKWARD], max_tokens) if ids]


def _refuse_difference(goldens: dict[str, golden.Golden], served: str) -> None:
    """The fp32 graph must be Flair's model, also where it is not written; the served one must be near it."""
    fault = {bundle.FP32: "a fault of the exporter, please report it", bundle.INT8: _REMEDY}
    for name in dict.fromkeys((bundle.FP32, served)):
        difference, limit = goldens[name].difference, TOLERANCES[name]["flair"] - TOLERANCES[name]["graph"]
        if difference > limit:
            raise InputError(
                f"{name}: a golden text's probability is {difference:.2g} from Flair's, over the limit of {limit:.2g}: "
                f"{fault[name]}"
            )


def _refuse_disagreement(served: str, metrics: dict) -> None:
    if metrics["agreement_with_flair"] < AGREEMENT:
        raise InputError(
            f"{served} gives Flair's label on {metrics['agreement_with_flair']:.2%} of the test rows only, "
            f"the limit is {AGREEMENT:.0%}: {_REMEDY}"
        )


def _measure(
    classifier: TextClassifier, dataset: Dataset, encoder: Tokenizer, max_tokens: int, graphs: dict[str, bytes]
) -> dict:
    """What Flair's predict() and each graph get right on the test rows; the last graph is the served one."""
    texts = [row.text for row in dataset.test]
    ids = evaluate.token_ids(encoder, texts, max_tokens)
    flair = evaluate.flair_probabilities(classifier, texts)
    reference = evaluate.score(dataset.test, dataset.labels, flair).record()
    metrics = {"flair_fp32": {key: reference[key] for key in ("rows", "accuracy", "macro_f1")}}
    for key, graph in zip(("served", "fp32_graph"), reversed(graphs.values()), strict=False):
        got = evaluate.graph_probabilities(graph, ids, evaluate.SERVING_BATCH)
        metrics[key] = evaluate.score(dataset.test, dataset.labels, got, flair).record()
    return metrics


def _provenance(dataset: Dataset, request: Request, hyper_parameters: dict, metrics: dict) -> dict:
    packages = ("flair", "torch", "transformers", "tokenizers", "onnx", "onnxruntime")
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "data": dataset.provenance(),
        "base_model": {"name": request.base_name, "licence": request.base_licence},
        "seed": hyper_parameters.get("seed"),
        "hyper_parameters": {key: value for key, value in hyper_parameters.items() if key != "seed"},
        "metrics": metrics,
        "licences": {"base_model": request.base_licence, "data": dataset.licence},
        "versions": {
            **{package: version(package) for package in packages},
            "python": platform.python_version(),
            "flairstream_training": __version__,
        },
    }


def _config(classifier: TextClassifier, labels: list[str]) -> bytes:
    """Hugging Face's config with the labels, and without the path the model was loaded from."""
    config = classifier.embeddings.model.config.to_diff_dict()
    for key in ("_name_or_path", "output_hidden_states"):  # where it was loaded from; how Flair runs it
        config.pop(key, None)
    config.update(
        architectures=["BertForSequenceClassification"],
        problem_type="single_label_classification",
        id2label={str(i): label for i, label in enumerate(labels)},
        label2id={label: i for i, label in enumerate(labels)},
    )
    return (json.dumps(config, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()
