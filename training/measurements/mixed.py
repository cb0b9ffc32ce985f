"""Writes texts of many lengths, joined from short ones: JSON lines {"id": ..., "text": ...}.

python training/measurements/mixed.py --texts test.jsonl --tokenizer examples/bundle/tokenizer.json --out mixed.jsonl

The lengths are spread evenly from 8 tokens to 512. The same input gives the same file.
"""

import argparse
import json
import random
from pathlib import Path

from flairstream_training import preprocessing, tokenizer

SHORTEST, LONGEST = 8, 512


def texts_of(path: Path) -> list[str]:
    """The texts of JSON lines that have one."""
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip())
    return [row["text"] for row in rows if row["text"] and row["text"].strip()]


def mixed(texts: list[str], encoder, count: int, seed: int = 1) -> list[str]:
    """So many texts, each joined from random ones up to a random length in tokens."""
    rng = random.Random(seed)
    lengths = [len(preprocessing.token_ids(encoder, text, 1 << 20)) - 2 for text in texts]
    out = []
    for _ in range(count):
        left, parts = rng.randint(SHORTEST, LONGEST) - 2, []
        while True:
            i = rng.randrange(len(texts))
            if parts and lengths[i] > left:
                break
            parts.append(texts[i])
            left -= lengths[i]
        out.append(" ".join(parts))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, required=True, help="JSON lines with a text each")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json of the bundle")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=2000)
    args = parser.parse_args()
    encoder = tokenizer.load(args.tokenizer.read_text(encoding="utf-8"))
    rows = mixed(texts_of(args.texts), encoder, args.count)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps({"id": f"mixed-{i}", "text": text}, ensure_ascii=False) for i, text in enumerate(rows, 1))
    args.out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
