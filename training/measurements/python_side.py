"""Sets Python's onnxruntime and tokenizers beside flairstream's, in turns. Prints a Markdown table.

    python training/measurements/python_side.py --bundle examples/bundle --texts test.jsonl

The model: the same file and texts, tokenized beforehand and sorted by length, at the best batch found, one session with
one thread a run and as many runs at once as there are cores. The tokenizer: Hugging Face's, called text by text on one
core, without the cleaning that flairstream's does besides. flairstream's figures are those of `flairstream bench`.
"""

import argparse
import itertools
import json
import os
import random
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from flairstream_training import evaluate, session, tokenizer
from mixed import texts_of

BUDGETS = [(texts, tokens) for texts in (4, 8, 16, 32) for tokens in (256, 512, 1024, 2048)]
CORES = len(os.sched_getaffinity(0))

Batch = dict[str, np.ndarray]


def batches(ids: list[list[int]], texts: int, tokens: int) -> list[Batch]:
    """Sorted texts, at most so many a batch and so many tokens, padding included, unless one text alone has more."""
    rows, found = sorted(ids, key=len), []
    while rows:
        n = 1
        while n < min(texts, len(rows)) and (n + 1) * session.padded(len(rows[n])) <= tokens:
            n += 1
        found.append(session.pad(rows[:n]))
        rows = rows[n:]
    return found


def run_all(run: ort.InferenceSession, work: Sequence[Batch], seconds: float) -> float:
    """Texts a second over all cores, the batches in random order, again and again until the time is over."""
    order, lock, done = itertools.cycle(random.Random(1).sample(work, len(work))), threading.Lock(), 0

    def take() -> None:
        nonlocal done
        while time.perf_counter() < end:
            with lock:
                batch = next(order)
            run.run(["logits", "embedding"], batch)
            with lock:
                done += len(batch["input_ids"])

    begun = time.perf_counter()
    end = begun + seconds
    threads = [threading.Thread(target=take) for _ in range(CORES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done / (time.perf_counter() - begun)


def best_batches(run: ort.InferenceSession, ids: list[list[int]], seconds: float) -> list[Batch]:
    """Those of the budget that did most texts a second."""
    every = {len(found): found for found in (batches(ids, *budget) for budget in BUDGETS)}
    run_all(run, every[max(every)], 1)  # warms up
    return max(every.values(), key=lambda found: run_all(run, found, seconds / len(every)))


def tokenize_all(encoder, texts: list[str], seconds: float) -> float:
    """Texts a second, one at a time."""
    begun, done = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        for text in texts:
            encoder.encode(text).ids  # noqa: B018
        done += len(texts)
    return done / (time.perf_counter() - begun)


def flairstream(program: Path, bundle: Path, texts: Path, seconds: float) -> tuple[float, float]:
    """The bare model's and the tokenizer's texts a second."""
    command = [program, "bench", "--bundle", bundle, "--texts", texts, "--phases", "ceiling,tokenizer"]
    command += ["--seconds", str(seconds), "--json"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = json.loads(output.strip().rsplit("\n", 1)[-1])
    return found["ceiling_texts_per_second"], found["tokenizer_texts_per_second"]


def row(name: str, ours: list[float], theirs: list[float]) -> str:
    def shown(values: list[float]) -> str:
        return f"{np.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"

    return f"| {name} | {shown(ours)} | {shown(theirs)} | {np.median(np.divide(ours, theirs)):.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True, help="JSON lines with a text each")
    parser.add_argument("--flairstream", type=Path, default=Path("bin/flairstream"), help="the program")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement in each round")
    args = parser.parse_args()
    manifest = json.loads((args.bundle / "bundle.json").read_text(encoding="utf-8"))
    run = session.open_session(str(args.bundle / manifest["graph"]))
    encoder = tokenizer.load((args.bundle / "tokenizer.json").read_text(encoding="utf-8"))
    texts = texts_of(args.texts)
    work = best_batches(run, evaluate.token_ids(encoder, texts, manifest["max_tokens"]), 3 * args.seconds)
    ours, theirs = [], []
    for _ in range(args.rounds):
        ours.append(flairstream(args.flairstream, args.bundle, args.texts, args.seconds))
        theirs.append((run_all(run, work, args.seconds), tokenize_all(encoder, texts, args.seconds / 2)))
    print(f"Texts a second, median (range) of {args.rounds} rounds; batches of {len(work[0]['input_ids'])}\n")
    print("| | flairstream | Python | ratio |\n|---|---|---|---|")
    print(row(f"bare model, {CORES} cores, onnxruntime {ort.__version__}", *zip_column(ours, theirs, 0)))
    print(row("tokenizer, one core", *zip_column(ours, theirs, 1)))


def zip_column(ours: list[tuple], theirs: list[tuple], column: int) -> tuple[list[float], list[float]]:
    return [values[column] for values in ours], [values[column] for values in theirs]


if __name__ == "__main__":
    main()
