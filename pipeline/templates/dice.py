"""Dice that fall the same way for ever: a stream of numbers that follows from a key alone, in any version of Python."""

import hashlib

_BITS = 128


class Dice:
    """Numbers drawn from a key, by BLAKE2b of the key and a counter.

    Args:
        key: at most 64 bytes.
    """

    __slots__ = ("_block", "_counter", "_key")

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._counter = 0
        self._block = b""

    def below(self, most: int) -> int:
        """A whole number from 0 to `most` - 1, each as likely as the others (to one in 2**60)."""
        if not self._block:
            counter = self._counter.to_bytes(8, "big")
            self._block = hashlib.blake2b(counter, key=self._key).digest()
            self._counter += 1
        drawn = int.from_bytes(self._block[:16], "big")
        self._block = self._block[16:]
        return drawn * most >> _BITS
