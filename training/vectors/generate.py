"""Writes texts with the token ids that the tokenizers library gives them, for the Go tests of model/tokenizer.

    python generate.py            # CLINC150's texts from $CLINC150_DIR and 20,000 others, to .cache/vectors/
    python generate.py --sample   # the small samples beside the Go tests, with small vocabularies of their own

A line is {"text", "ids", "truncated"}: ids with [CLS] and [SEP], at most 512; none where Flair gives no label. Every
kind of tokenizer.json has a file of lines: vocabularies.py says which there are.
"""

import argparse
import gzip
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer

import texts
import vocabularies
from cleaning import clean, is_empty

ROOT = Path(__file__).resolve().parents[2]
TOKENIZER = ROOT / "examples" / "bundle" / "tokenizer.json"
TESTDATA = ROOT / "model" / "tokenizer" / "testdata"
SEED = 20
COUNT, SAMPLE_COUNT = 20_000, 400
PIECES, SAMPLE_PIECES = 8_000, 1_200
MAX_TOKENS = 512
CLINC150 = ("train.jsonl", "validation.jsonl", "test.jsonl", "out_of_scope.jsonl")


def vectors(tokenizer: Tokenizer, batch: Iterable[str]) -> Iterator[str]:
    """Yield a JSON line a text."""
    tokenizer.enable_truncation(MAX_TOKENS)
    for text in batch:
        cleaned = clean(text)
        vector = {"text": text, "ids": [], "truncated": False}
        if not is_empty(cleaned):
            encoding = tokenizer.encode(cleaned)
            vector |= {"ids": encoding.ids, "truncated": bool(encoding.overflowing)}
        yield json.dumps(vector, ensure_ascii=False) + "\n"


def clinc150() -> list[str]:
    """Return all texts of the folder in CLINC150_DIR; none where it is not set."""
    folder = os.environ.get("CLINC150_DIR")
    if not folder:
        print("CLINC150_DIR is not set: without CLINC150's texts", file=sys.stderr)
        return []
    rows = [line for name in CLINC150 for line in (Path(folder) / name).read_text(encoding="utf-8").splitlines()]
    return [json.loads(row)["text"] for row in rows]


def write(folder: Path, kind: str, file: str, batch: list[str]) -> None:
    """Write a tokenizer.json and the texts with its ids, for the Go tests; whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_str(file)
    unfinished = folder / "unfinished.gz"
    with gzip.open(unfinished, "wt", encoding="utf-8") as lines:
        lines.writelines(vectors(tokenizer, batch))
    (folder / f"{kind}.json").write_text(file, encoding="utf-8")
    unfinished.replace(folder / f"{kind}.jsonl.gz")
    print(f"{len(batch)} texts written to {folder / kind}.jsonl.gz")


def write_vectors(tokenizer_json: Path, folder: Path) -> None:
    """Write the vectors of the bundle's own tokenizer, and of one of every other shape, trained on the same texts."""
    batch = clinc150() + texts.texts(COUNT, SEED)
    write(folder, "bundle", tokenizer_json.read_text(encoding="utf-8"), batch)
    corpus = clinc150() + texts.corpus(COUNT // 2, SEED + 2)
    trained = vocabularies.trained_unigram(corpus, PIECES, "nmt_nfkc")
    files = {
        "bytelevel-roberta": vocabularies.byte_level(corpus, PIECES, prefix_space=True),
        "bytelevel-gpt2": vocabularies.byte_level(corpus, PIECES, prefix_space=False),
        "unigram-published": vocabularies.unigram(
            trained, trained.normalizer_spec.precompiled_charsmap, converted=False
        ),
        "unigram-converted": vocabularies.unigram(
            trained, trained.normalizer_spec.precompiled_charsmap, converted=True
        ),
    }
    for kind, file in files.items():
        write(folder, kind, json.dumps(file, ensure_ascii=False), batch)


def write_samples() -> None:
    """Write the samples beside the Go tests: the same kinds of texts, the longest ones left out."""
    batch = [text for text in texts.texts(SAMPLE_COUNT, SEED + 1) if len(text) < 3000]
    corpus = texts.corpus(SAMPLE_COUNT, SEED + 3)
    trained = vocabularies.trained_unigram(corpus, SAMPLE_PIECES, "identity")
    charsmap = vocabularies.small_charsmap()
    files = {
        "wordpiece": vocabularies.word_piece(batch),
        "bytelevel-roberta": vocabularies.byte_level(corpus, SAMPLE_PIECES, prefix_space=True),
        "bytelevel-gpt2": vocabularies.byte_level(corpus, SAMPLE_PIECES // 2, prefix_space=False),
        "unigram-published": vocabularies.unigram(trained, charsmap, converted=False),
        "unigram-converted": vocabularies.unigram(trained, charsmap, converted=True),
    }
    for kind, file in files.items():
        content = json.dumps(file, ensure_ascii=True, indent=None if "unigram" in kind else 1) + "\n"
        folder = TESTDATA / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").write_text(content)
        (folder / "sample.jsonl").write_text("".join(vectors(Tokenizer.from_str(content), batch)), encoding="utf-8")
    print(f"{len(batch)} texts written to {TESTDATA.name}/*/sample.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", action="store_true", help="write the sample beside the Go tests instead")
    parser.add_argument("--tokenizer", type=Path, default=TOKENIZER, help="default: the demo bundle's")
    parser.add_argument("--out", type=Path, default=ROOT / ".cache" / "vectors", help="folder; default: %(default)s")
    arguments = parser.parse_args()
    if arguments.sample:
        write_samples()
    elif arguments.tokenizer.is_file():
        write_vectors(arguments.tokenizer, arguments.out)
    else:
        parser.error(f"there is no file {arguments.tokenizer}: name a bundle's tokenizer.json with --tokenizer")


if __name__ == "__main__":
    main()
