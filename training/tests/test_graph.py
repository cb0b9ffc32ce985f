import numpy as np
import onnx
import pytest

from flairstream_training import bundle, evaluate, golden, graph, session, weights


@pytest.fixture(scope="module")
def awkward(trained):
    """Token ids of the awkward texts, and what Flair says of each alone."""
    ids = evaluate.token_ids(trained.tokenizer, golden.AWKWARD, 512)
    return ids, [evaluate.flair_probabilities(trained.classifier, [text])[0] for text in golden.AWKWARD]


def test_fp32_graph_says_what_flair_says(trained, awkward):
    ids, flair = awkward
    got = evaluate.graph_probabilities(trained.graph(bundle.FP32), ids)
    assert evaluate.largest_difference(got, flair) < 1e-5
    assert [p and int(np.argmax(p)) for p in got] == [p and int(np.argmax(p)) for p in flair]


def test_cls_pooling_says_what_flair_says(trained, awkward, monkeypatch):
    monkeypatch.setattr(trained.classifier.embeddings, "cls_pooling", "cls")
    model = graph.build(weights.extract(trained.classifier), graph.Float32())
    flair = [evaluate.flair_probabilities(trained.classifier, [text])[0] for text in golden.AWKWARD]
    assert evaluate.largest_difference(flair, awkward[1]) > 1e-3  # the two poolings differ
    got = evaluate.graph_probabilities(model.SerializeToString(), awkward[0])
    assert evaluate.largest_difference(got, flair) < 1e-5


def test_embedding_is_flairs(trained):
    from flairstream_training import preprocessing

    text = "the roses want water"
    sentence = preprocessing.sentence(text)
    trained.classifier.embeddings.embed(sentence)
    ids = preprocessing.token_ids(trained.tokenizer, text, 512)
    (got,) = session.open_session(trained.graph(bundle.FP32)).run(["embedding"], session.pad([ids], 64))
    np.testing.assert_allclose(got[0], sentence.get_embedding().detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("name", [bundle.FP32, bundle.INT8])
def test_inputs_and_outputs(trained, name):
    run = session.open_session(trained.graph(name))
    assert [(i.name, i.type, i.shape) for i in run.get_inputs()] == [
        ("input_ids", "tensor(int64)", ["batch", "sequence"]),
        ("attention_mask", "tensor(int64)", ["batch", "sequence"]),
    ]
    assert [(o.name, o.type, o.shape) for o in run.get_outputs()] == [
        ("logits", "tensor(float)", ["batch", 3]),
        ("embedding", "tensor(float)", ["batch", 48]),
    ]


@pytest.mark.parametrize("name", [bundle.FP32, bundle.INT8])
def test_a_row_of_padding_alone_is_a_number(trained, name):
    feed = {"input_ids": np.zeros((2, 8), np.int64), "attention_mask": np.zeros((2, 8), np.int64)}
    feed["attention_mask"][0, 0] = 1
    for value in session.open_session(trained.graph(name)).run(None, feed):
        assert np.isfinite(value).all()


@pytest.fixture(params=["mean", "cls"])
def trained_weights(request, trained, monkeypatch):
    monkeypatch.setattr(trained.classifier.embeddings, "cls_pooling", request.param)
    return weights.extract(trained.classifier)


def test_no_padding_goes_through_the_dense_layers(trained_weights):
    """With "cls", no more than a row a text goes through the last layer."""
    layers = ("layer0/wide", "layer1/attention/input", "layer1/wide")
    model = graph.build(trained_weights, graph.Float32(), layers)
    rows = [[101, 7, 102], [101, *range(200, 230), 102], [101, 102]]
    got = session.open_session(model.SerializeToString()).run(layers, session.pad(rows, 64))
    last = len(rows) if trained_weights.pooling == "cls" else sum(map(len, rows))
    assert [len(value) for value in got] == [sum(map(len, rows)), sum(map(len, rows)), last]


def test_each_text_keeps_its_tokens(trained_weights):
    """Packed and laid out by text again, in batches of any order, also where a text's ids are among another's."""
    run = session.open_session(graph.build(trained_weights, graph.Float32()).SerializeToString())
    rows = [[101, *range(200, 200 + n), 102] for n in (1, 5, 6, 14, 30, 61, 126)]
    alone = session.logits(run, rows)
    assert len(np.unique(alone.round(4), axis=0)) == len(rows)
    for order in ([6, 0, 3], [0, 6], [5, 4, 3, 2, 1, 0], [2, 2, 6, 2]):
        (together,) = run.run(["logits"], session.pad([rows[i] for i in order]))
        np.testing.assert_array_equal(together, alone[order])


def test_graphs_are_valid_onnx(trained):
    onnx.checker.check_model(onnx.load_from_string(trained.graph(bundle.FP32)), full_check=True)
