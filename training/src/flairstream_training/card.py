"""The model card: README.md of the bundle."""

import string

from .bundle import FP32, INT8

CONFUSIONS = 10  # the most frequent ones are listed

_TEMPLATE = """\
---
pipeline_tag: text-classification
library_name: flairstream
tags: [flair, onnx, text-classification]
---

# {name} {version}

{task}
Trained in Flair {flair} on {data_name}; served by flairstream with ONNX Runtime.

Labels: {labels}.

## How good it is

Measured on {rows:,} held-out rows of {data_name}.{right}

| run by | accuracy | macro F1 | same answer as Flair | largest difference of a probability |
|---|---|---|---|---|
| Flair's own predict(), fp32 | {flair_accuracy:.2%} | {flair_f1:.4f} | | |
{graph_lines}

`{graph}` loses {accuracy_loss:.2f} percentage points of accuracy against Flair in fp32. McNemar's exact test, on the
rows that only one of them gets right, gives p = {mcnemar_p:.3g}: it {tells} them apart.
{classes}{confusion}
### Calibration

{calibration}

## How to use it

```
flairstream bundle verify --bundle DIR
echo '"a text"' | flairstream classify --bundle DIR --json
```

`{graph}` is the graph that is served. It takes `input_ids` and `attention_mask` (int64, [batch, sequence],
padded on the right with 0 to a multiple of 8) and gives `logits` (float32, [batch, labels]) and `embedding` (float32,
[batch, {hidden_size}]). {function} of the logits gives the probabilities. A text's result does not depend on its batch.

Texts must be prepared as in training, or the results differ: cleaned as Flair {flair_minor} does, then encoded by
`tokenizer.json` as they are, with no word tokenizer before it.

## Limits

- Only the first {max_tokens} tokens of a text count, those that the tokenizer adds included.
- A text of which cleaning leaves nothing but spaces gets no label.
{other_texts}
- It knows the language and the kind of text it was trained on. On others its probabilities mean little.
{int8_limit}
## How it was made

| | |
|---|---|
| base model | {base_name} ({base_licence}) |
| data | {data_name}: {data_rows} |
| hyper-parameters | {hyper_parameters} |
| training ended | {created} |
| versions | {versions} |

The rows, as they were found; lengths in tokens, before the cut at {max_tokens}:

| split | rows | median length | 99 % are up to | longest | cut | repeat an earlier row of the split |
|---|---|---|---|---|---|---|
{split_lines}

Texts that stand in both train and test: {leaks:,}.

## Licences

- Base model: {base_name}, {base_licence}.
- Data: {data_name}, {data_licence}.{citation}
"""

_TASK = {
    "single_label": "Gives a text one of {labels} labels, with a probability for each.",
    "multi_label": "Gives a text those of {labels} labels whose probability is {threshold:.6g} or more; maybe none.",
}
_RIGHT = {"single_label": "", "multi_label": " A row is right where exactly its labels are given."}
_OTHER_TEXTS = {
    "single_label": "- Every other text gets a label, also one that none of them fits: look at the probability.",
    "multi_label": "- A text that none of the labels fits may get one all the same: look at the probability.",
}
_FUNCTION = {"single_label": "Softmax", "multi_label": "A sigmoid of each"}

_INT8_LIMIT = """\
- The int8 graph's probabilities differ from Flair's where the model is unsure: see the table. On another kind of
  processor they differ again; a server refuses the bundle where a golden text's do by more than {graph_tolerance}.
"""

_CALIBRATION = """\
Served probabilities are the model's own. `calibration.json` has what makes them come true as often as they say (method:
{method}; from {rows:,} validation rows). Expected calibration error on the test rows: {ece_before:.2%} before it,
{ece_after:.2%} after it."""

_SPLITS = {
    "train": "to train",
    "validation": "to validate and calibrate",
    "reference": "kept aside for the monitor",
    "test": "to test",
}


def write(manifest: dict) -> str:
    """The card of the bundle with this manifest."""
    provenance, task = manifest["provenance"], manifest["task"]
    return _TEMPLATE.format(
        name=manifest["name"],
        version=manifest["version"],
        task=_TASK[task].format(labels=len(manifest["labels"]), threshold=manifest.get("threshold")),
        labels=", ".join(map(_code, manifest["labels"])),
        graph=manifest["graph"],
        hidden_size=manifest["hidden_size"],
        max_tokens=manifest["max_tokens"],
        function=_FUNCTION[task],
        other_texts=_OTHER_TEXTS[task],
        right=_RIGHT[task],
        int8_limit=_INT8_LIMIT.format(graph_tolerance=manifest["tolerances"]["graph"])
        if manifest["graph"] == INT8
        else "",
        **_figures(manifest),
        **_origin(provenance),
    )


def _figures(manifest: dict) -> dict:
    metrics = manifest["provenance"]["metrics"]
    graphs = {manifest["graph"]: metrics["served"]} | ({FP32: metrics["fp32_graph"]} if "fp32_graph" in metrics else {})
    return {
        "rows": metrics["flair_fp32"]["rows"],
        "flair_accuracy": metrics["flair_fp32"]["accuracy"],
        "flair_f1": metrics["flair_fp32"]["macro_f1"],
        "graph_lines": "\n".join(_graph_line(name, values) for name, values in graphs.items()),
        "accuracy_loss": 100 * metrics["accuracy_loss"],
        "mcnemar_p": metrics["mcnemar_p"],
        "tells": "tells" if metrics["mcnemar_p"] < 0.05 else "does not tell",
        "classes": _classes(metrics["per_class"]),
        "confusion": _confusion(manifest["labels"], metrics.get("confusion")),
        "calibration": _CALIBRATION.format(**metrics["calibration"]),
    }


def _origin(provenance: dict) -> dict:
    data, base, versions = provenance["data"], provenance["base_model"], provenance["versions"]
    rows = {split: words for split, words in _SPLITS.items() if data["rows"].get(split)}
    report = data["report"]
    return {
        "base_name": base["name"],
        "base_licence": base["licence"],
        "data_name": data["name"],
        "data_licence": data["licence"],
        "citation": f" {data['citation']}" if data["citation"] else "",
        "split_lines": "\n".join(_split_line(name, report) for name in report["splits"]),
        "leaks": report["across_splits"]["train, test"],
        "created": provenance["created"] or "not recorded",
        "data_rows": ", ".join(f"{data['rows'][split]:,} rows {words}" for split, words in rows.items()),
        "hyper_parameters": _pairs(provenance["hyper_parameters"]) or "not recorded",
        "flair": versions["flair"],
        "flair_minor": ".".join(versions["flair"].split(".")[:2]),
        "versions": _pairs(versions),
    }


def _graph_line(name: str, values: dict) -> str:
    return (
        f"| `{name}` | {values['accuracy']:.2%} | {values['macro_f1']:.4f} "
        f"| {values['agreement_with_flair']:.2%} | {values['max_probability_difference']:.2g} |"
    )


def _classes(figures: dict[str, dict]) -> str:
    """The table of labels; nothing where there are too many for one."""
    if not figures:
        return ""
    lines = (_class_line(label, values) for label, values in figures.items())
    return "\n".join(["", "| label | precision | recall | F1 | rows |", "|---|---|---|---|---|", *lines, ""])


def _class_line(label: str, values: dict) -> str:
    return (
        f"| {_code(label)} | {values['precision']:.2%} | {values['recall']:.2%} "
        f"| {values['f1']:.4f} | {values['support']:,} |"
    )


def _split_line(name: str, report: dict) -> str:
    split = report["splits"][name]
    lengths = " | ".join(f"{split['tokens'][key]:,}" for key in ("p50", "p99", "p100"))
    return f"| {name} | {split['rows']:,} | {lengths} | {split['truncated']:,} | {report['duplicates'][name]:,} |"


def _confusion(labels: list[str], matrix: list[list[int]] | None) -> str:
    """The most frequent mistakes; nothing where no matrix is kept."""
    if matrix is None:
        return ""
    places = range(len(labels))
    mistakes = [(matrix[i][j], labels[i], labels[j]) for i in places for j in places if i != j and matrix[i][j]]
    worst = sorted(mistakes, key=lambda mistake: -mistake[0])[:CONFUSIONS]
    lines = [f"- {count:,} rows of {_code(true)} get {_code(predicted)}" for count, true, predicted in worst]
    return "\n".join(["", f"What it takes for what, at most {CONFUSIONS} pairs:", "", *(lines or ["- nothing"]), ""])


def _code(label: str) -> str:
    """A label as code, also within a table: what Markdown would read in it is written as HTML."""
    if label.isprintable() and not set("|`") & set(label):
        return f"`{label}`"
    marks = "".join(f"&#{ord(mark)};" if mark in string.punctuation else mark for mark in " ".join(label.split()))
    return f"<code>{marks}</code>"


def _pairs(values: dict) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in values.items())
