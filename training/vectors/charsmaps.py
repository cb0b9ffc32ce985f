"""Builds the normalizer of a SentencePiece model, precompiled_charsmap, from rules of one's own.

The format: the size in bytes of a double array, little-endian as all of it; the array, of 32-bit units; the
replacements, UTF-8, each ended by a zero byte. A unit has the label in bits 0 to 7 and 31, a mark of a leaf below it in
bit 8, and the distance (by exclusive or) to its children in bits 10 to 31, times 256 where bit 9 is set; a leaf has
bit 31 and the place of its replacement. Source: Darts-clone (github.com/s-yata/darts-clone) and SentencePiece's
normalizer (github.com/google/sentencepiece, src/normalizer.h).
"""

import struct
from collections.abc import Mapping

BLOCK = 256  # units; a node's children stand in one block
END = None  # the edge to a leaf


def build(rules: Mapping[str, str]) -> bytes:
    """Return the charsmap that replaces each key by its value."""
    places: dict[str, int] = {}
    replacements = b""
    for value in rules.values():
        if value not in places:
            places[value] = len(replacements)
            replacements += value.encode() + b"\0"
    root: dict = {}
    for key, value in rules.items():
        node = root
        for byte in key.encode():
            node = node.setdefault(byte, {})
        node[END] = places[value]
    units = _Units()
    units.place(root, 0, 0)
    array = units.array()
    return struct.pack("<I", len(array)) + array + replacements


class _Units:
    def __init__(self) -> None:
        self.found = {0: 0}
        self.bases: set[int] = set()
        self.full = 0  # every block before it has no more room

    def place(self, node: dict, position: int, label: int) -> None:
        """Put the node's children somewhere, then write the node itself, then its children's children."""
        edges = [edge or 0 for edge in node]
        base = self._room(edges, position)
        offset = position ^ base
        unit = label | (1 << 8 if END in node else 0)
        unit |= offset << 10 if offset < 1 << 21 else (offset >> 8) << 10 | 1 << 9
        self.found[position] = unit
        self.found.update({base ^ edge: 0 for edge in edges})
        for edge, child in node.items():
            if edge is END:
                self.found[base] = 1 << 31 | child
            else:
                self.place(child, base ^ edge, edge)

    def _room(self, edges: list[int], position: int) -> int:
        """Find a base whose places are free; its low bits are the position's, so that a long way fits the unit."""
        block = self.full
        while True:
            for low in range(BLOCK) if block < 1 << 13 else (position % BLOCK,):
                base = block * BLOCK | low
                if base not in self.bases and all(base ^ edge not in self.found for edge in edges):
                    self.bases.add(base)
                    return base
            if block == self.full and len(edges) == 1:
                self.full += 1
            block += 1

    def array(self) -> bytes:
        size = (max(self.found) // BLOCK + 1) * BLOCK
        units = [self.found.get(i, 0) for i in range(size)]
        return struct.pack(f"<{size}I", *units)
