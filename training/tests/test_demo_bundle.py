"""The bundle in examples/, as it is committed."""

import hashlib
import json
import random
from pathlib import Path

import numpy as np
import pytest

from flairstream_training import evaluate, session, tokenizer

EXAMPLES = Path(__file__).parents[2] / "examples"
BUNDLE = EXAMPLES / "bundle"


@pytest.fixture(scope="module")
def manifest() -> dict:
    return json.loads((BUNDLE / "bundle.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def golden() -> list[dict]:
    content = (BUNDLE / "golden.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in content.split("\n")[:-1]]


@pytest.fixture(scope="module")
def graph(manifest) -> bytes:
    return (BUNDLE / manifest["graph"]).read_bytes()


@pytest.fixture(scope="module")
def encoder():
    return tokenizer.load((BUNDLE / "tokenizer.json").read_text(encoding="utf-8"))


def test_files_are_whole_and_small(manifest):
    sizes = {path.name: path.stat().st_size for path in BUNDLE.iterdir()}
    assert sum(sizes.values()) <= 25_000_000
    assert set(sizes) == {*manifest["files"], "bundle.json"}
    for name, entry in manifest["files"].items():
        assert hashlib.sha256((BUNDLE / name).read_bytes()).hexdigest() == entry["sha256"], name


def test_it_is_as_good_as_flair(manifest):
    metrics = manifest["provenance"]["metrics"]
    assert metrics["flair_fp32"]["rows"] == metrics["served"]["rows"] == 4500
    assert metrics["served"]["accuracy"] >= 0.98
    assert abs(metrics["accuracy_loss"]) <= 0.005
    assert metrics["mcnemar_p"] > 0.05
    assert metrics["calibration"]["ece_after"] < metrics["calibration"]["ece_before"]


def test_licences_are_there():
    notice = (BUNDLE / "NOTICE.txt").read_text(encoding="utf-8")
    for part in (
        "all-MiniLM-L6-v2",
        "Apache License 2.0",
        "CLINC150",
        "creativecommons.org/licenses/by/3.0",
        "Changes:",
    ):
        assert part in notice
    assert "Apache License" in (BUNDLE / "LICENSE-Apache-2.0.txt").read_text(encoding="utf-8")


def test_golden_texts_are_reproduced(manifest, golden, graph, encoder):
    ids = evaluate.token_ids(encoder, [row["text"] for row in golden], manifest["max_tokens"])
    assert ids == [row["ids"] for row in golden]
    got, tolerances = evaluate.graph_probabilities(graph, ids), manifest["tolerances"]
    assert evaluate.largest_difference(got, [row["graph"] for row in golden]) <= tolerances["graph"]
    assert evaluate.largest_difference(got, [row["flair"] for row in golden]) <= tolerances["flair"]


def test_neighbours_place_and_padding_change_nothing(golden, graph):
    run, rng = session.open_session(graph), random.Random(8)
    texts = [row["ids"] for row in golden if row["ids"]]
    alone = session.probabilities(session.logits(run, texts))
    for _ in range(30):
        batch = rng.sample(range(len(texts)), rng.randint(2, 8))
        (values,) = run.run(["logits"], session.pad([texts[i] for i in batch], rng.choice((0, 40, 96, 200, 512))))
        np.testing.assert_allclose(session.probabilities(values), alone[batch], rtol=0, atol=1e-6)


def test_the_demo_s_messages_are_classified(manifest, graph, encoder):
    content = (EXAMPLES / "messages.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in content.split("\n") if line]
    rows = [row for row in rows if row["label"] in manifest["labels"]]
    ids = evaluate.token_ids(encoder, [row["text"] for row in rows], manifest["max_tokens"])
    got = evaluate.graph_probabilities(graph, ids, batch_size=8)
    right = [manifest["labels"][int(np.argmax(p))] == row["label"] for row, p in zip(rows, got, strict=True)]
    assert len(rows) >= 400
    assert np.mean(right) >= 0.95
