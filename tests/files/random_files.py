"""Random contents of files, of kinds that have broken programs that count."""

from random import Random

WHITE_SPACE = [chr(code) for code in range(0x110000) if chr(code).isspace()]
NEARLY = [chr(code) for code in (0x86, 0xA1, 0x1681, 0x180E, 0x200B, 0x202A, 0x205E, 0x2060, 0x3001, 0xFEFF, 0x1F600)]

TOKENS = [
    *(bytes([code]) for code in (0, 7, 0x1B, 0x7F, 0x80, 0x85, 0x9A, 0xA0, 0xC2, 0xE1, 0xE2, 0xE3, 0xFF)),
    *(text.encode() for text in WHITE_SPACE + NEARLY),
    *(text.encode()[:-1] for text in WHITE_SPACE + NEARLY if len(text.encode()) > 1),
    *(b"a", b"bc", b"word", b"\n", b"\r\n", b"\n\n", b"\r", b" ", b"\t", b"  \n"),
    *(b'"', b'""', b'","', b",", b";", b"\\", b"'", b'"\n', b'\n"'),
]
"""White space of every kind with what is nearly such a character, control characters, line ends, and quotes."""

BLOCK = 64
"""Bytes that the compiled loops take at a time."""

FEW = [0, 1, 2, 3, 5, 10, 30, 100, 300]


def random_size(random: Random, chunk: int) -> int:
    """A small number of bytes, or one near a multiple of the size of a block or of a chunk."""
    if random.random() < 0.4:
        return random.choice(FEW)
    multiple = random.choice((BLOCK, chunk)) * random.choice((1, 1, 2, 3, 5, 16))
    return max(0, multiple + random.randrange(-3, 4))


def random_content(random: Random, chunk: int) -> bytes:
    """The content of one file, of up to some dozen chunks of `chunk` bytes."""
    size = random_size(random, chunk)
    kind = random.random()
    if kind < 0.15:
        content = random.randbytes(size)
    elif kind < 0.25:
        content = bytes([random.choice(b'a\n \0\r\xff,"')]) * size
    elif kind < 0.35:  # long runs of a few bytes
        content = b"".join(
            bytes([random.choice(b"a\n \0\t")]) * random.choice((1, 63, 64, 65, chunk)) for _ in range(9)
        )
    elif kind < 0.65:  # few different lines, often repeated
        pool = [b"".join(random.choices(TOKENS, k=random.randrange(5))) for _ in range(random.randrange(1, 6))]
        end = random.choice((b"\n", b"\n", b"\r\n", b"\r"))
        content = end.join(random.choices(pool, k=size // 4 + 1)) + random.choice((b"", end))
    else:
        content = b"".join(random.choices(random.sample(TOKENS, random.randrange(1, 8)), k=size // 2 + 1))
    return content[random.randrange(4) :] if random.random() < 0.2 else content[:size] if kind < 0.5 else content
