"""A bundle is served without Flair, and says what its golden texts say."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from flairstream_training import bundle, serving
from flairstream_training.errors import InputError


def test_scores_are_those_of_the_golden_texts(trained):
    served = serving.open(trained.bundle)
    lines = (trained.bundle / "golden.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    golden = [json.loads(line) for line in lines]
    scores = served.scores([row["text"] for row in golden])
    assert (scores.dtype, scores.shape) == (np.float32, (len(golden), 3))
    want = np.array([row["graph"] or [np.nan] * 3 for row in golden])
    np.testing.assert_allclose(scores, want, rtol=0, atol=1e-6)
    chosen = served.choose(scores)
    assert [len(labels) for labels in chosen] == [0 if row["graph"] is None else 1 for row in golden]


def test_no_text_gives_no_row(trained):
    served = serving.open(trained.bundle)
    assert served.scores([]).shape == (0, 3)
    assert np.isnan(served.scores([" "])).all()


def test_the_first_of_equals_is_chosen_and_nothing_where_there_is_no_score():
    scores = np.array([[0.2, 0.4, 0.4], [np.nan] * 3], np.float32)
    assert serving.choose("abc", scores, None) == [("b",), ()]


def test_a_threshold_chooses_any_number_of_labels():
    scores = np.array([[0.5, 0.9, 0.49], [0.1, 0.2, 0.3], [np.nan] * 3], np.float32)
    assert serving.choose("abc", scores, 0.5) == [("b", "a"), (), ()]
    assert serving.choose("ab", np.float32([[0.3, 0.1]]), float(np.float32(0.3)) + 1e-12) == [()]


def test_flair_and_torch_stay_out(trained):
    code = (
        "import sys, pathlib; from flairstream_training import serving;"
        "serving.open(pathlib.Path(sys.argv[1])).scores(['roses']); print({'flair', 'torch'} & set(sys.modules))"
    )
    got = subprocess.run([sys.executable, "-c", code, str(trained.bundle)], capture_output=True, text=True, check=True)
    assert got.stdout == "set()\n"


def test_a_bundle_that_is_not_whole_is_refused(trained, tmp_path):
    with pytest.raises(InputError, match="holds no bundle"):
        serving.open(tmp_path)
    copy = shutil.copytree(trained.bundle, tmp_path / "copy")
    with (copy / "tokenizer.json").open("a") as file:
        file.write(" ")
    with pytest.raises(InputError, match=r"tokenizer\.json is not the file that bundle\.json lists"):
        serving.open(copy)
    (copy / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer\.json is not the file"):
        serving.open(copy)
    (copy / "bundle.json").write_text(json.dumps({"format": "flairstream.bundle/v9"}))
    with pytest.raises(InputError, match=r"flairstream\.bundle/v9"):
        bundle.verify(copy)
