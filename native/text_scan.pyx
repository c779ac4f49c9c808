"""Counting of bytes, newlines and words in blocks of text."""

from libc.stdint cimport uint8_t, uint64_t

from interrupt cimport POLL_ELEMENTS, Interrupt, interrupt_begin, interrupt_poll

from parcount._native import cpu_features

cdef extern from "text_scan.h" nogil:
    ctypedef struct TextCount:
        uint64_t lines, words, in_word
    ctypedef struct TextScan:
        uint64_t (*count_lines)(const uint8_t *text, Py_ssize_t n) noexcept nogil
        void (*count_words)(const uint8_t *text, Py_ssize_t n, TextCount *count) noexcept nogil
        Py_ssize_t (*count_unicode_words)(const uint8_t *text, Py_ssize_t n, bint last, TextCount *count) noexcept nogil
        Py_ssize_t (*find_space)(const uint8_t *text, Py_ssize_t n) noexcept nogil
    void text_scan_choose(TextScan *scan, bint avx512, bint avx2, bint neon)

cdef TextScan scan_with(features):
    cdef TextScan scan
    text_scan_choose(&scan, "AVX512" in features, "AVX2" in features, "NEON" in features)
    return scan

cdef TextScan BEST = scan_with(cpu_features.ENABLED)


cdef class TextCounter:
    """The bytes, newlines and words of the blocks given to `update`.

    Parameters
    ----------
    lines, words : bool
        What to count beside the bytes.
    unicode : bool
        Whether words are those of ``str.split()``, not those of the C locale.
    features : iterable of str, optional
        The CPU features to use; by default those that are enabled.
    """

    cdef TextCount count
    cdef uint64_t size
    cdef bint counts_lines, counts_words, unicode
    cdef TextScan scan

    def __cinit__(self, bint lines, bint words, bint unicode, features=None):
        self.scan = BEST if features is None else scan_with(features)
        self.counts_lines, self.counts_words, self.unicode = lines, words, unicode

    @property
    def lines(self):
        """The number of newlines; 0 if they are not counted."""
        return self.count.lines

    @property
    def words(self):
        """The number of words; 0 if they are not counted."""
        return self.count.words + self.count.in_word

    @property
    def bytes(self):
        """The number of bytes."""
        return self.size

    def update(self, const uint8_t[::1] block not None, *, bint last):
        """Count a block without the GIL, and return how many of its bytes were used: all of the `last` block."""
        cdef Interrupt interrupt
        cdef const uint8_t *text = &block[0] if block.shape[0] else NULL
        cdef Py_ssize_t n = block.shape[0], done = 0, size, used
        interrupt_begin(&interrupt)
        with nogil:
            while True:
                size = used = min(n - done, <Py_ssize_t>POLL_ELEMENTS)
                if not self.counts_words:
                    if self.counts_lines:
                        self.count.lines += self.scan.count_lines(text + done, size)
                elif self.unicode:
                    used = self.scan.count_unicode_words(text + done, size, last and done + size == n, &self.count)
                else:
                    self.scan.count_words(text + done, size, &self.count)
                done += used
                if size < POLL_ELEMENTS or done == n:
                    break
                interrupt_poll(&interrupt)
        self.size += done
        if last:
            self.count.words += self.count.in_word
            self.count.in_word = 0
        return done

    def add(self, uint64_t lines, uint64_t words, uint64_t size):
        """Add to the numbers of newlines, words and bytes."""
        self.count.lines += lines
        self.count.words += words
        self.size += size


def find_space(const uint8_t[::1] text not None):
    """Return the position of the first white space of the C locale; the size of the text if there is none."""
    cdef Py_ssize_t n = text.shape[0]
    return BEST.find_space(&text[0], n) if n else 0


def rfind_space(const uint8_t[::1] text not None):
    """Return the position of the last white space of the C locale; -1 if there is none."""
    cdef Py_ssize_t n = text.shape[0]
    while n and not (text[n - 1] == c" " or c"\t" <= text[n - 1] <= c"\r"):
        n -= 1
    return n - 1
