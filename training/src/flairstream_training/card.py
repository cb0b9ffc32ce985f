"""The model card: README.md of the bundle."""

from .bundle import FP32, INT8

_TEMPLATE = """\
---
pipeline_tag: text-classification
library_name: flairstream
tags: [flair, onnx, text-classification]
---

# {name} {version}

Gives a text one of {label_count} labels, with a probability for each. Trained in Flair {flair} on {data_name}; served
by flairstream with ONNX Runtime.

Labels: {labels}.

## How good it is

Measured on {rows:,} held-out rows of {data_name}.

| run by | accuracy | macro F1 | same label as Flair | largest difference of a probability |
|---|---|---|---|---|
| Flair's own predict(), fp32 | {flair_accuracy:.2%} | {flair_f1:.4f} | | |
{graph_lines}

## How to use it

```
flairstream bundle verify --bundle DIR
echo '"a text"' | flairstream classify --bundle DIR --json
```

`{graph}` is the graph that is served. It takes `input_ids` and `attention_mask` (int64, [batch, sequence], padded on
the right with 0 to a multiple of 8) and gives `logits` (float32, [batch, labels]) and `embedding` (float32, [batch,
{hidden_size}]). Softmax of the logits gives the probabilities. A text's result does not depend on its batch.

Texts must be prepared as in training, or the results differ: cleaned as Flair {flair_minor} does, then encoded by
`tokenizer.json` as they are, with no word tokenizer before it.

## Limits

- Only the first {max_tokens} tokens of a text count, [CLS] and [SEP] included.
- A text of which cleaning leaves nothing but spaces gets no label.
- Every other text gets one of the labels, also one that belongs to none of them: look at the probability.
- It knows the language and the kind of text it was trained on. On others its probabilities mean little.
{int8_limit}
## How it was made

| | |
|---|---|
| base model | {base_name} ({base_licence}) |
| data | {data_name}: {train_rows:,} rows to train, {validation_rows:,} to validate, {test_rows:,} to test |
| hyper-parameters | {hyper_parameters} |
| versions | {versions} |

## Licences

- Base model: {base_name}, {base_licence}.
- Data: {data_name}, {data_licence}.{citation}
"""

_INT8_LIMIT = """\
- The int8 graph's probabilities differ from Flair's where the model is unsure: see the table. On another kind of
  processor they differ again; a server refuses the bundle where a golden text's do by more than {graph_tolerance}.
"""


def write(manifest: dict) -> str:
    """The card of the bundle with this manifest."""
    provenance, tolerances = manifest["provenance"], manifest["tolerances"]
    data, base, metrics = provenance["data"], provenance["base_model"], provenance["metrics"]
    versions = provenance["versions"]
    graphs = {manifest["graph"]: metrics["served"]} | ({FP32: metrics["fp32_graph"]} if "fp32_graph" in metrics else {})
    int8_limit = _INT8_LIMIT.format(graph_tolerance=tolerances["graph"])
    return _TEMPLATE.format(
        name=manifest["name"],
        version=manifest["version"],
        label_count=len(manifest["labels"]),
        labels=", ".join(f"`{label}`" for label in manifest["labels"]),
        graph=manifest["graph"],
        hidden_size=manifest["hidden_size"],
        max_tokens=manifest["max_tokens"],
        flair=versions["flair"],
        flair_minor=".".join(versions["flair"].split(".")[:2]),
        rows=metrics["flair_fp32"]["rows"],
        flair_accuracy=metrics["flair_fp32"]["accuracy"],
        flair_f1=metrics["flair_fp32"]["macro_f1"],
        graph_lines="\n".join(_graph_line(name, values) for name, values in graphs.items()),
        int8_limit=int8_limit if manifest["graph"] == INT8 else "",
        base_name=base["name"],
        base_licence=base["licence"],
        data_name=data["name"],
        data_licence=data["licence"],
        citation=f" {data['citation']}" if data["citation"] else "",
        train_rows=data["rows"]["train"],
        validation_rows=data["rows"]["validation"],
        test_rows=data["rows"]["test"],
        hyper_parameters=_pairs(provenance["hyper_parameters"]) or "not recorded",
        versions=_pairs(versions),
    )


def _graph_line(name: str, values: dict) -> str:
    return (
        f"| `{name}` | {values['accuracy']:.2%} | {values['macro_f1']:.4f} "
        f"| {values['agreement_with_flair']:.2%} | {values['max_probability_difference']:.2g} |"
    )


def _pairs(values: dict) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in values.items())
