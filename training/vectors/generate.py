"""Writes texts with the token ids that the tokenizers library gives them, for the Go tests of model/tokenizer.

    python generate.py            # CLINC150's texts from $CLINC150_DIR and 20,000 others, to .cache/vectors/
    python generate.py --sample   # the small sample beside the Go tests, with a small vocabulary of its own

A line is {"text", "ids", "truncated"}: ids with [CLS] and [SEP], at most 512; none where Flair gives no label.
"""

import argparse
import gzip
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import Tokenizer, normalizers, pre_tokenizers

import texts
from cleaning import clean, is_empty

ROOT = Path(__file__).resolve().parents[2]
TOKENIZER = ROOT / "examples" / "bundle" / "tokenizer.json"
TESTDATA = ROOT / "model" / "tokenizer" / "testdata"
SEED = 20
COUNT, SAMPLE_COUNT = 20_000, 400
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


def write_vectors(tokenizer_json: Path, folder: Path) -> None:
    tokenizer = Tokenizer.from_str(tokenizer_json.read_text(encoding="utf-8"))
    batch = clinc150() + texts.texts(COUNT, SEED)
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / "tokenizer.jsonl.gz"
    unfinished = folder / "unfinished.gz"
    with gzip.open(unfinished, "wt", encoding="utf-8") as file:
        file.writelines(vectors(tokenizer, batch))
    unfinished.replace(out)
    print(f"{len(batch)} texts written to {out}")


def small_vocabulary(batch: list[str]) -> dict[str, int]:
    """Return pieces for most characters, so that ids show how a text was normalized, and some longer ones."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##ing", "##able", "un", "##believ"]
    normalizer, splitter = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    for text in batch:
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(clean(text))):
            pieces += [piece for c in word if ord(c) % 13 for piece in (c, "##" + c)]
            if word.isascii() and len(word) < 20:
                pieces += [word[:2], word[:5], "##" + word[-3:]]
    return {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}


def small_tokenizer(vocabulary: dict[str, int]) -> dict:
    """Return a tokenizer.json, with the parts that a bundle's has."""
    special = {name: {"id": name, "ids": [vocabulary[name]], "tokens": [name]} for name in ("[CLS]", "[SEP]")}
    cls, a, sep = ({"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                   {"SpecialToken": {"id": "[SEP]", "type_id": 0}})  # fmt: skip
    b = [{"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": "[SEP]", "type_id": 1}}]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [cls, a, sep],
            "pair": [cls, a, sep, *b],
            "special_tokens": special,
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    }


def write_sample() -> None:
    """Write the sample: the same kinds of texts, the longest ones left out."""
    batch = [text for text in texts.texts(SAMPLE_COUNT, SEED + 1) if len(text) < 3000]
    file = json.dumps(small_tokenizer(small_vocabulary(batch)), ensure_ascii=True, indent=1) + "\n"
    (TESTDATA / "tokenizer.json").write_text(file)
    (TESTDATA / "sample.jsonl").write_text("".join(vectors(Tokenizer.from_str(file), batch)), encoding="utf-8")
    print(f"{len(batch)} texts written to {TESTDATA.name}/sample.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", action="store_true", help="write the sample beside the Go tests instead")
    parser.add_argument("--tokenizer", type=Path, default=TOKENIZER, help="default: the demo bundle's")
    parser.add_argument("--out", type=Path, default=ROOT / ".cache" / "vectors", help="folder; default: %(default)s")
    arguments = parser.parse_args()
    if arguments.sample:
        write_sample()
    elif arguments.tokenizer.is_file():
        write_vectors(arguments.tokenizer, arguments.out)
    else:
        parser.error(f"there is no file {arguments.tokenizer}: name a bundle's tokenizer.json with --tokenizer")


if __name__ == "__main__":
    main()
