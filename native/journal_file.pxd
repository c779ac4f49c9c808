"""The blocks of a journal, and their checksums."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "journal_file.h" nogil:
    enum:
        BLOCK_HEADER
        BLOCK_ALIGNMENT
        BLOCK_PADDING
    ctypedef struct BlockHeader:
        uint64_t marker
        uint32_t crc
        uint32_t length
        uint64_t writer
        uint64_t sequence
    ctypedef uint32_t (*Crc32c)(uint32_t state, const void *data, size_t size) noexcept nogil
    Crc32c crc32c_chosen
    uint32_t crc32c_baseline(uint32_t state, const void *data, size_t size)
    uint32_t crc32c_instruction(uint32_t state, const void *data, size_t size)
    void crc32c_initialise()
    uint64_t little64(uint64_t value)
    uint32_t little32(uint32_t value)
    uint64_t block_size(uint64_t length)
    uint32_t block_crc(uint32_t state, uint64_t offset, const BlockHeader *header)
    uint64_t block_align(uint64_t offset)
    void block_fill_header(BlockHeader *header, uint64_t marker, uint64_t offset, uint32_t length, uint64_t writer,
                           uint64_t sequence, uint32_t state)
    int64_t block_check(const unsigned char *data, uint64_t available, uint64_t offset, uint64_t marker,
                        BlockHeader *header)
    uint64_t block_search(const unsigned char *data, uint64_t size, uint64_t start, uint64_t marker)
