"""From a trained Flair classifier to a bundle, checked against Flair before it is written."""

import json
import platform
import random
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from flair.models import TextClassifier
from tokenizers import Tokenizer

from . import (
    __version__,
    bundle,
    calibration,
    card,
    encoder,
    evaluate,
    golden,
    mcnemar,
    preprocessing,
    quantize,
    report,
    serving,
    tokenizer,
)
from .data import Dataset, Row
from .errors import InputError
from .evaluate import Answers
from .graph import Float32, build
from .weights import extract

SCALE_TEXTS = 300  # from which the int8 scales are taken

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
    max_accuracy_loss: float = 0.005  # share of the test rows that the served graph may get wrong and Flair right, net


@dataclass(frozen=True)
class _Trained:
    """The classifier, and what every step of the export asks of it."""

    classifier: TextClassifier
    labels: list[str]
    threshold: float | None
    tokenizer_json: str
    tokens: Tokenizer
    max_tokens: int

    def ids(self, rows: list[Row]) -> list[list[int]]:
        return evaluate.token_ids(self.tokens, [row.text for row in rows], self.max_tokens)

    def graph(self, content: bytes, rows: list[Row]) -> Answers:
        """What a graph says of the rows, as it is served."""
        multi_label = self.threshold is not None
        found = evaluate.graph_probabilities(content, self.ids(rows), serving.BATCH, multi_label)
        return evaluate.answers(rows, self.labels, found, self.threshold)

    def flair(self, rows: list[Row]) -> Answers:
        found = evaluate.flair_probabilities(self.classifier, [row.text for row in rows])
        return evaluate.answers(rows, self.labels, found, self.threshold)


def export(classifier: TextClassifier, dataset: Dataset, request: Request, recorded: dict) -> dict:
    """Builds, checks and writes the bundle; returns its manifest with the model digest added.

    recorded are the hyper-parameters, and when the training ended: see train.recorded. The same classifier, rows,
    request and record give the same bytes. Raises InputError, and writes nothing, where the served graph is too far
    from Flair.
    """
    trained = _open(classifier, dataset)
    scale_rows, calibration_rows = set_apart(dataset)
    built = _graphs(trained, scale_rows)
    texts = golden.texts(request.golden)
    goldens = {
        name: golden.make(classifier, trained.tokens, graph, trained.max_tokens, texts) for name, graph in built.items()
    }
    served, graphs = request.graphs[-1], {name: built[name] for name in request.graphs}
    _refuse_difference(goldens, served)
    flair, answers = trained.flair(dataset.test), trained.graph(graphs[served], dataset.test)
    _refuse_loss(served, flair, answers, request.max_accuracy_loss)
    calibrated = _calibrate(trained, graphs[served], calibration_rows, answers)
    metrics = _metrics(trained, dataset, graphs, flair, answers) | {"calibration": calibrated.errors}

    manifest = {
        "format": bundle.FORMAT,
        "name": request.identity.name,
        "version": request.identity.version,
        "task": "multi_label" if classifier.multi_label else "single_label",
        "labels": trained.labels,
        **({"threshold": trained.threshold} if classifier.multi_label else {}),
        "max_tokens": trained.max_tokens,
        "hidden_size": classifier.embeddings.embedding_length,
        "preprocessing": preprocessing.RECORD,
        "graph": served,
        "tolerances": TOLERANCES[served],
        "provenance": _provenance(trained, dataset, request, recorded, metrics),
    }
    files = {
        **graphs,
        "config.json": _config(classifier, trained.labels),
        "tokenizer.json": trained.tokenizer_json.encode(),
        "golden.jsonl": goldens[served].content(),
        "calibration.json": calibrated.content,
        "README.md": card.write(manifest).encode(),
        **{path.name: path.read_bytes() for path in request.notices},
    }
    return {**manifest, "digest": bundle.write(request.out, files, manifest)}


def _open(classifier: TextClassifier, dataset: Dataset) -> _Trained:
    encoder.check(classifier)
    labels = classifier.label_dictionary.get_items()
    if labels != dataset.labels or classifier.multi_label != dataset.multi_label:
        raise InputError("the model's labels are not those of the data: export it with the data it was trained on")
    content, max_tokens = tokenizer.serving_json(classifier), classifier.embeddings.tokenizer.model_max_length
    return _Trained(classifier, labels, threshold(classifier), content, tokenizer.load(content), max_tokens)


def threshold(classifier: TextClassifier) -> float | None:
    """The least float32 above Flair's threshold: Flair gives the labels above it, a server those at or above this."""
    if not classifier.multi_label:
        return None
    flair = classifier.multi_label_threshold["default"]
    near = np.float32(flair)
    least = float(near) if float(near) > flair else float(np.nextafter(near, np.float32(1)))
    if not 0 < least < 1:
        raise InputError(f"the model's threshold is {flair}: want one between 0 and 1")
    return least


def set_apart(dataset: Dataset) -> tuple[list[Row], list[Row]]:
    """Validation rows for the int8 scales, always the same ones, and the others, for calibrating probabilities."""
    rows = dataset.validation
    taken = set(random.Random(0).sample(range(len(rows)), min(SCALE_TEXTS, len(rows) // 2)))
    return [rows[i] for i in sorted(taken)], [row for i, row in enumerate(rows) if i not in taken]


def _graphs(trained: _Trained, scale_rows: list[Row]) -> dict[str, bytes]:
    weights = extract(trained.classifier)
    ids = scale_ids(scale_rows, trained.tokens, trained.max_tokens)
    models = {bundle.FP32: build(weights, Float32()), bundle.INT8: quantize.int8(weights, ids)}
    return {name: model.SerializeToString() for name, model in models.items()}


def scale_ids(rows: list[Row], tokens: Tokenizer, max_tokens: int) -> list[list[int]]:
    """The token ids that the int8 scales are taken from: of the rows, and of the awkward texts."""
    texts = [*(row.text for row in rows), *golden.AWKWARD]
    return [ids for ids in evaluate.token_ids(tokens, texts, max_tokens) if ids]


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


def _refuse_loss(served: str, flair: Answers, answers: Answers, limit: float) -> None:
    loss = _loss(flair, answers)
    if loss > limit:
        raise InputError(
            f"{served} gets {answers.right.mean():.2%} of the test rows right where Flair in fp32 gets "
            f"{flair.right.mean():.2%}: {loss:.2%} points lost, over the limit of {limit:.2%}: {_REMEDY}, "
            "or allow more with --max-accuracy-loss"
        )


def _loss(flair: Answers, answers: Answers) -> float:
    """The accuracy lost, a share of the rows; negative where the graph is better."""
    return (int(flair.right.sum()) - int(answers.right.sum())) / len(flair.right)


@dataclass(frozen=True)
class _Calibrated:
    """calibration.json, and its errors for the manifest."""

    content: bytes
    errors: dict


def _calibrate(trained: _Trained, graph: bytes, rows: list[Row], test: Answers) -> _Calibrated:
    """Learned from the rows, judged on the test rows."""
    answers, multi_label = trained.graph(graph, rows), trained.threshold is not None
    fitted = calibration.fit(answers.scores, answers.truth, trained.labels, multi_label)
    measured = {
        "ece_before": round(calibration.error(test.scores, test.truth, multi_label), 6),
        "ece_after": round(calibration.error(fitted.apply(test.scores), test.truth, multi_label), 6),
        "ece_rows": len(test.truth),
    }
    errors = {"method": fitted.method, "temperature": fitted.temperature, "rows": len(rows), **measured}
    return _Calibrated(calibration.content(fitted, len(rows), measured), errors)


def _metrics(trained: _Trained, dataset: Dataset, graphs: dict[str, bytes], flair: Answers, served: Answers) -> dict:
    """What Flair's predict() and each graph get right on the test rows."""
    metrics = {
        "flair_fp32": flair.record(),
        "served": served.record() | served.against(flair),
        "accuracy_loss": round(_loss(flair, served), 6),
        "mcnemar_p": round(mcnemar.p_value(flair.right, served.right), 6),
        "per_class": served.per_class() if len(trained.labels) <= evaluate.LISTED else {},
    }
    if len(graphs) > 1:
        fp32 = trained.graph(graphs[bundle.FP32], dataset.test)
        metrics["fp32_graph"] = fp32.record() | fp32.against(flair)
    if trained.threshold is None and len(trained.labels) <= evaluate.CONFUSED:
        metrics["confusion"] = served.confusion()
    return metrics


def _provenance(trained: _Trained, dataset: Dataset, request: Request, recorded: dict, metrics: dict) -> dict:
    packages = ("flair", "torch", "transformers", "tokenizers", "onnx", "onnxruntime", "scikit-learn", "scipy")
    return {
        "created": recorded.get("ended"),  # of the training, not of the export
        "data": dataset.provenance() | {"report": _report(trained, dataset)},
        "base_model": {"name": request.base_name, "licence": request.base_licence},
        "seed": recorded.get("seed"),
        "hyper_parameters": {key: value for key, value in recorded.items() if key not in ("seed", "ended")},
        "metrics": metrics,
        "licences": {"base_model": request.base_licence, "data": dataset.licence},
        "versions": {
            **{package: version(package) for package in packages},
            "python": platform.python_version(),
            "flairstream_training": __version__,
        },
    }


def _report(trained: _Trained, dataset: Dataset) -> dict:
    """What the card tells of the rows."""
    record = report.make(dataset, trained.tokens, trained.max_tokens).record()
    for split in record["splits"].values():
        split["classes"] = split["classes"] if len(trained.labels) <= evaluate.LISTED else {}
    return {key: record[key] for key in ("splits", "duplicates", "across_splits")}


def _config(classifier: TextClassifier, labels: list[str]) -> bytes:
    """Hugging Face's config with the labels, and without the path the model was loaded from."""
    config = classifier.embeddings.model.config.to_diff_dict()
    for key in ("_name_or_path", "output_hidden_states"):  # where it was loaded from; how Flair runs it
        config.pop(key, None)
    config.update(
        architectures=[type(classifier.embeddings.model).__name__.removesuffix("Model") + "ForSequenceClassification"],
        problem_type="multi_label_classification" if classifier.multi_label else "single_label_classification",
        id2label={str(i): label for i, label in enumerate(labels)},
        label2id={label: i for i, label in enumerate(labels)},
    )
    return (json.dumps(config, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()
