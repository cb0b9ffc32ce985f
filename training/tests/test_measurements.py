"""What `make bench` compares with is what it says: the same classifier in fp32 and as anybody would quantize it."""

import json

import numpy as np
import onnx
import pytest
from transformers import BertConfig

import mixed
import siblings
from flairstream_training import bundle, evaluate, graph, quantize, session, weights

TEXTS = ["the roses want water", "her train leaves at noon", "a friend's soup boils over and the bread is in the oven"]


@pytest.fixture(scope="module")
def config(trained) -> BertConfig:
    return BertConfig.from_json_file(trained.bundle / "config.json")


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_weights_are_found_again_in_the_int8_graph(trained, config, monkeypatch, pooling):
    monkeypatch.setattr(trained.classifier.embeddings, "cls_pooling", pooling)
    w, ids = weights.extract(trained.classifier), evaluate.token_ids(trained.tokenizer, TEXTS, 512)
    again = siblings.weights_of(quantize.int8(w, ids), config)
    assert (again.pooling, again.heads, len(again.layers)) == (pooling, w.heads, len(w.layers))
    for mine, theirs in zip(w.layers, again.layers, strict=True):
        np.testing.assert_allclose(theirs.wide.weight, mine.wide.weight, atol=np.abs(mine.wide.weight).max() / 64)
        np.testing.assert_allclose(theirs.query.weight, mine.query.weight, atol=np.abs(mine.query.weight).max() / 64)
        np.testing.assert_array_equal(theirs.norm.scale, mine.norm.scale)
    fp32, dequantized = (graph.build(each, graph.Float32()).SerializeToString() for each in (w, again))
    some, others = (evaluate.graph_probabilities(content, ids) for content in (fp32, dequantized))
    assert evaluate.largest_difference(some, others) < 0.1


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_traced_graph_is_the_same_classifier(trained, config, monkeypatch, pooling):
    monkeypatch.setattr(trained.classifier.embeddings, "cls_pooling", pooling)
    w = weights.extract(trained.classifier)
    rows = evaluate.token_ids(trained.tokenizer, TEXTS, 512)
    feed = session.pad(rows, 40)
    own, traced = graph.build(w, graph.Float32()).SerializeToString(), siblings.traced(w, config)
    for mine, theirs in zip(*(session.open_session(g).run(None, feed) for g in (own, traced)), strict=True):
        np.testing.assert_allclose(theirs, mine, atol=1e-4)


def test_siblings_are_whole_bundles(trained, tmp_path):
    siblings.main(["--bundle", str(trained.bundle), "--out", str(tmp_path)])
    for name, content in (("fp32", bundle.FP32), ("stock-int8", bundle.INT8)):
        manifest = json.loads((tmp_path / name / "bundle.json").read_text())
        assert (manifest["graph"], manifest["version"]) == (content, f"{trained.manifest['version']}-{name}")
        assert set(manifest["files"]) == {path.name for path in (tmp_path / name).iterdir()} - {"bundle.json"}
        run = session.open_session(str(tmp_path / name / content))
        assert [o.name for o in run.get_outputs()] == ["logits", "embedding"]
    operators = {node.op_type for node in onnx.load(tmp_path / "stock-int8" / bundle.INT8).graph.node}
    assert "DynamicQuantizeLinear" in operators


def test_mixed_lengths_are_spread_and_repeatable(trained):
    texts = mixed.mixed(TEXTS, trained.tokenizer, 200)
    lengths = [len(ids) for ids in evaluate.token_ids(trained.tokenizer, texts, 1 << 20)]
    assert max(lengths) <= mixed.LONGEST
    assert min(lengths) <= 40
    assert np.quantile(lengths, (0.25, 0.75)) == pytest.approx([134, 386], abs=60)
    assert texts == mixed.mixed(TEXTS, trained.tokenizer, 200)
