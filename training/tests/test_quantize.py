import random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import siblings
from flairstream_training import bundle, evaluate, golden, graph, quantize, session, weights
from flairstream_training.weights import Dense

# vpmaddubsw, which x86 CPUs without VNNI multiply with, adds two products of uint8 and int8 in an int16.
INT16 = np.iinfo(np.int16)


@pytest.fixture(scope="module")
def texts(trained) -> list[list[int]]:
    """Token ids of the awkward texts, and of ordinary ones of every length up to 512."""
    rng = random.Random(5)
    words = "roses lawn soup train the a my noon water salt lift late blunt".split()
    ordinary = [" ".join(rng.choices(words, k=rng.choice((1, 3, 7, 20, 60, 200, 600)))) for _ in range(60)]
    return [ids for ids in evaluate.token_ids(trained.tokenizer, [*golden.AWKWARD, *ordinary], 512) if ids]


@pytest.mark.parametrize("name", [bundle.FP32, bundle.INT8])
def test_neighbours_place_and_padding_change_nothing(trained, texts, name):
    run, rng = session.open_session(trained.graph(name)), random.Random(6)
    alone = session.probabilities(session.logits(run, texts))
    for _ in range(40):
        batch = rng.sample(range(len(texts)), rng.randint(2, 9))
        (values,) = run.run(["logits"], session.pad([texts[i] for i in batch], rng.randrange(0, 513, 8)))
        np.testing.assert_allclose(session.probabilities(values), alone[batch], rtol=0, atol=1e-6)


def test_stock_dynamic_int8_would_fail_that_test(trained, texts):
    """Shows that the test above can see a scale that is taken from the batch."""
    traced = siblings.traced(weights.extract(trained.classifier), trained.classifier.embeddings.model.config)
    run = session.open_session(siblings.stock(traced))
    alone = session.probabilities(session.logits(run, texts))
    together = session.probabilities(session.logits(run, texts, batch_size=8))
    assert np.abs(together - alone).max() > 1e-6


def test_int8_graph_is_near_the_fp32_graph(trained, texts):
    fp32, int8 = (evaluate.graph_probabilities(trained.graph(name), texts) for name in (bundle.FP32, bundle.INT8))
    assert 0 < evaluate.largest_difference(fp32, int8) < 0.25


def test_weights_cannot_saturate(trained):
    """Two products of the largest values fit 16 bits, so that a CPU without VNNI computes the same as one with it."""
    model = onnx.load_from_string(trained.graph(bundle.INT8))
    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    dense = [constants[node.input[1]] for node in model.graph.node if node.op_type == "MatMulIntegerToFloat"]
    assert len(dense) == 8  # four in each layer
    for weight in dense:
        pairs = 255 * weight.astype(int)
        assert np.abs(pairs).max() * 2 <= INT16.max
        assert np.abs(weight.astype(int)).max() == quantize.WEIGHT_LIMIT


def test_integer_product_is_exact_at_the_limits():
    """The worst case through ONNX Runtime on this CPU, against integers in numpy."""
    width = 64
    signs = np.where(np.arange(32) % 2, -1, 1).astype(np.float32)
    weight = np.tile(signs * 0.5, (width, 1))
    g = graph.Graph()
    dense = Dense(weight, np.zeros(32, np.float32))
    ranges = {"x": (np.zeros(width, np.float32), np.ones(width, np.float32))}
    quantize.Int8(ranges).dense(g, "y", "x", dense)
    model = helper.make_model(
        helper.make_graph(
            g.nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, width])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 32])],
            list(g.constants.values()),
        ),
        opset_imports=[helper.make_opsetid("", graph.OPSET), helper.make_opsetid(graph.MICROSOFT, 1)],
        ir_version=10,
    )
    run = session.open_session(model.SerializeToString())
    for rows in (1, 2, 7):
        (got,) = run.run(["y"], {"x": np.ones((rows, width), np.float32)})
        np.testing.assert_allclose(got, np.tile(signs * 0.5 * width, (rows, 1)), rtol=1e-6)


def test_rows_and_columns_are_within_half_a_step():
    rng = np.random.default_rng(1)
    table = rng.normal(size=(50, 16)).astype(np.float32)
    table[3] = 0
    for integers, scales in (quantize.quantize_columns(table), quantize.quantize_rows(table)):
        assert np.abs(integers * scales - table).max() <= scales.max() / 2 * 1.0001


def test_calibration_sees_the_widest_values(trained, texts):
    w = weights.extract(trained.classifier)
    few, many = quantize.calibrate(w, texts[:1]), quantize.calibrate(w, texts)
    assert set(few) == set(many)
    for name, (low, high) in few.items():
        assert (many[name][0] <= low).all()
        assert (low <= 0).all()
        assert (high >= 0).all()
        assert (high <= many[name][1]).all()


def test_only_channels_that_reach_far_are_narrowed():
    high = np.ones(100, np.float32)
    high[7] = 20
    narrowing = quantize.narrow(-high / 2, high)
    assert narrowing[7] == pytest.approx(20)
    assert (np.delete(narrowing, 7) == 1).all()
    assert (quantize.narrow(np.zeros(4), np.zeros(4)) == 1).all()
