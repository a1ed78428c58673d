"""Decoders of the encodings as C: portable, without memory of their own, and safe on bytes that no encoder wrote.

Each reads its parts bit by bit and hands symbols to `store` at flat positions of the tensor. It accepts what the
decoder in numpy accepts, with the same symbols, and returns 1 for anything else; every read and every position is
checked first.
"""

from __future__ import annotations

from hapir.encodings.bit_planes import BitPlanes
from hapir.encodings.bitmap import Bitmap
from hapir.encodings.codebook import Codebook
from hapir.encodings.crs import Crs, pointer_width
from hapir.encodings.dense import Dense
from hapir.encodings.encoding import Encoding, Tensor
from hapir.encodings.huffman import Huffman
from hapir.encodings.huffman_code import LONGEST_CODE, MOST_CODES
from hapir.encodings.levels import Auto, Levels, chosen
from hapir.encodings.ras import Ras
from hapir.encodings.rle import Rle
from hapir.encodings.trits import Trits

COMMON = """\
struct hapir__part {
    const uint8_t *data;
    size_t size;
};

/* What is decoded: symbols of `bits` bits go to `store`, which returns 1 where it cannot take one. */
struct hapir__tensor {
    uint32_t count, rows, columns, zero;
    unsigned bits;
    int (*store)(void *to, const uint8_t *file, uint32_t position, uint32_t symbol);
    void *to;
    const uint8_t *file;
};

/* A field of up to 64 bits at a bit of a part; bits past its end are 0. */
static uint64_t hapir__bits(const struct hapir__part *part, uint64_t at, unsigned width)
{
    uint64_t value = 0;
    for (unsigned done = 0; done < width;) {
        const unsigned skip = (unsigned)(at & 7), left = width - done, take = left < 8 - skip ? left : 8 - skip;
        const uint64_t byte = (at >> 3) < part->size ? part->data[at >> 3] : 0;
        value |= ((byte >> skip) & ((1U << take) - 1)) << done;
        done += take;
        at += take;
    }
    return value;
}

static int hapir__has(const struct hapir__part *part, uint64_t bits)
{
    return part->size == bits / 8 + (bits % 8 != 0);
}

static int hapir__put(const struct hapir__tensor *t, uint64_t position, uint32_t symbol)
{
    if (position >= t->count || (t->bits < 32 && symbol >> t->bits)) {
        return 1;
    }
    return t->store(t->to, t->file, (uint32_t)position, symbol);
}"""

LEVELS = """\
/* The symbol of a field: an entry of a table of `levels`, or the field itself where there is no table. */
static int hapir__level(const struct hapir__tensor *t, const struct hapir__part *table, uint32_t levels, uint32_t field,
        uint32_t *symbol)
{
    if (levels == 0) {
        *symbol = field;
        return 0;
    }
    *symbol = (uint32_t)hapir__bits(table, (uint64_t)field * t->bits, t->bits);
    return field >= levels;
}"""

KEPT = """\
static int hapir__clear(const struct hapir__tensor *t)
{
    for (uint32_t i = 0; i < t->count; ++i) {
        if (hapir__put(t, i, t->zero)) {
            return 1;
        }
    }
    return 0;
}

static int hapir__keep(const struct hapir__tensor *t, const struct hapir__part *table, uint32_t levels,
        uint64_t position, uint32_t field)
{
    uint32_t symbol;
    return hapir__level(t, table, levels, field, &symbol) || symbol == t->zero || hapir__put(t, position, symbol);
}"""

DENSE = """\
static int hapir__dense(const struct hapir__tensor *t, const struct hapir__part *parts, unsigned width)
{
    if (!hapir__has(&parts[0], (uint64_t)t->count * width)) {
        return 1;
    }
    for (uint32_t i = 0; i < t->count; ++i) {
        if (hapir__put(t, i, (uint32_t)hapir__bits(&parts[0], (uint64_t)i * width, width))) {
            return 1;
        }
    }
    return 0;
}"""

BIT_PLANES = """\
static int hapir__bit_planes(const struct hapir__tensor *t, const struct hapir__part *parts, unsigned word)
{
    const uint64_t row = ((uint64_t)t->columns + word - 1) / word * word;
    if (!hapir__has(&parts[0], t->bits * t->rows * row)) {
        return 1;
    }
    for (uint32_t i = 0; i < t->count; ++i) {
        uint32_t symbol = 0;
        for (unsigned b = 0; b < t->bits; ++b) {
            const uint64_t at = ((uint64_t)b * t->rows + i / t->columns) * row + i % t->columns;
            symbol |= (uint32_t)hapir__bits(&parts[0], at, 1) << b;
        }
        if (hapir__put(t, i, symbol)) {
            return 1;
        }
    }
    return 0;
}"""

CODEBOOK = """\
static int hapir__codebook(const struct hapir__tensor *t, const struct hapir__part *parts, uint32_t levels,
        unsigned width)
{
    if (!hapir__has(&parts[0], (uint64_t)levels * t->bits) || !hapir__has(&parts[1], (uint64_t)t->count * width)) {
        return 1;
    }
    for (uint32_t i = 0; i < t->count; ++i) {
        uint32_t symbol;
        const uint32_t field = (uint32_t)hapir__bits(&parts[1], (uint64_t)i * width, width);
        if (hapir__level(t, &parts[0], levels, field, &symbol) || hapir__put(t, i, symbol)) {
            return 1;
        }
    }
    return 0;
}"""

TRITS = """\
static int hapir__trits(const struct hapir__tensor *t, const struct hapir__part *parts, uint32_t levels)
{
    const uint32_t bytes = t->count / 5 + (t->count % 5 != 0);
    if (!hapir__has(&parts[0], (uint64_t)levels * t->bits) || parts[1].size != bytes) {
        return 1;
    }
    for (uint32_t b = 0; b < bytes; ++b) {
        uint32_t rest = parts[1].data[b];
        if (rest > 242) {
            return 1;
        }
        for (uint32_t i = 5 * b; i < 5 * b + 5 && i < t->count; ++i, rest /= 3) {
            uint32_t symbol;
            if (hapir__level(t, &parts[0], levels, rest % 3, &symbol) || hapir__put(t, i, symbol)) {
                return 1;
            }
        }
    }
    return 0;
}"""

BITMAP = """\
static int hapir__bitmap(const struct hapir__tensor *t, const struct hapir__part *parts, uint32_t levels,
        unsigned width)
{
    uint64_t at = 0;
    if (!hapir__has(&parts[0], t->count) || !hapir__has(&parts[1], (uint64_t)levels * t->bits) || hapir__clear(t)) {
        return 1;
    }
    for (uint32_t i = 0; i < t->count; ++i) {
        if (hapir__bits(&parts[0], i, 1)) {
            if (hapir__keep(t, &parts[1], levels, i, (uint32_t)hapir__bits(&parts[2], at, width))) {
                return 1;
            }
            at += width;
        }
    }
    return !hapir__has(&parts[2], at);
}"""

RLE = """\
static int hapir__rle(const struct hapir__tensor *t, const struct hapir__part *parts, unsigned gap, uint32_t levels,
        unsigned width)
{
    const uint64_t words = (uint64_t)parts[1].size * 8 / (gap + width);
    const uint32_t skip = (uint32_t)((1ULL << gap) - 1);
    uint64_t position = 0;
    if (!hapir__has(&parts[0], (uint64_t)levels * t->bits) || hapir__clear(t)) {
        return 1;
    }
    for (uint64_t i = 0; i < words; ++i) {
        const uint64_t at = i * (gap + width);
        const uint32_t zeros = (uint32_t)hapir__bits(&parts[1], at, gap);
        position += zeros;
        if (zeros == skip) {
            continue;
        }
        if (hapir__keep(t, &parts[0], levels, position, (uint32_t)hapir__bits(&parts[1], at + gap, width))) {
            return 1;
        }
        ++position;
    }
    return 0;
}"""

POINTERS = """\
/* Whether a part holds the ascending starts of so many lists from 0 on; their end becomes `entries`. */
static int hapir__lists(const struct hapir__part *part, uint64_t lists, unsigned width, uint64_t *entries)
{
    *entries = 0;
    if (!hapir__has(part, (lists + 1) * width) || hapir__bits(part, 0, width) != 0) {
        return 0;
    }
    for (uint64_t i = 0; i <= lists; ++i) {
        const uint64_t start = hapir__bits(part, i * width, width);
        if (start < *entries) {
            return 0;
        }
        *entries = start;
    }
    return 1;
}"""

CRS = """\
static int hapir__crs(const struct hapir__tensor *t, const struct hapir__part *parts, unsigned pointer, int relative,
        unsigned index, uint32_t levels, unsigned width)
{
    uint64_t entries, e = 0;
    if (!hapir__lists(&parts[0], t->rows, pointer, &entries) || !hapir__has(&parts[1], entries * index)
        || !hapir__has(&parts[2], (uint64_t)levels * t->bits) || !hapir__has(&parts[3], entries * width)
        || hapir__clear(t)) {
        return 1;
    }
    for (uint32_t row = 0; row < t->rows; ++row) {
        uint64_t next = 0; /* the least column that may come */
        for (const uint64_t end = hapir__bits(&parts[0], ((uint64_t)row + 1) * pointer, pointer); e < end; ++e) {
            uint64_t column = hapir__bits(&parts[1], e * index, index);
            if (relative) {
                const int skips = column == (1ULL << index) - 1;
                column += next;
                if (skips) {
                    next = column;
                    continue;
                }
            }
            if (column < next || column >= t->columns
                || hapir__keep(t, &parts[2], levels, (uint64_t)row * t->columns + column,
                    (uint32_t)hapir__bits(&parts[3], e * width, width))) {
                return 1;
            }
            next = column + 1;
        }
    }
    return 0;
}"""

RAS = """\
static int hapir__ras(const struct hapir__tensor *t, const struct hapir__part *parts, unsigned pointer, unsigned index,
        uint32_t levels)
{
    const uint64_t blocks = ((uint64_t)t->columns + (1ULL << index) - 1) >> index;
    const uint64_t lists = levels * (uint64_t)t->rows * blocks;
    uint64_t entries, e = 0;
    if (!hapir__has(&parts[0], (uint64_t)levels * t->bits) || !hapir__lists(&parts[1], lists, pointer, &entries)
        || !hapir__has(&parts[2], entries * index) || hapir__clear(t)) {
        return 1;
    }
    for (uint64_t list = 0; list < lists; ++list) {
        const uint64_t row = list / blocks % t->rows, first = (list % blocks) << index;
        uint64_t next = first;
        for (const uint64_t end = hapir__bits(&parts[1], (list + 1) * pointer, pointer); e < end; ++e) {
            const uint64_t column = first + hapir__bits(&parts[2], e * index, index);
            if (column < next || column >= t->columns
                || hapir__keep(t, &parts[0], levels, row * t->columns + column, (uint32_t)(list / blocks / t->rows))) {
                return 1;
            }
            next = column + 1;
        }
    }
    return 0;
}"""

HUFFMAN = """\
/* A canonical code: how many codes each length has, and where the symbols begin in the book. */
struct hapir__book {
    const struct hapir__part *part;
    uint32_t counts[$longest + 1];
    unsigned longest, width;
    uint32_t codes;
    uint64_t symbols;
};

static int hapir__read_book(struct hapir__book *book, const struct hapir__part *part)
{
    uint64_t codes = 0, left = 1;
    book->part = part;
    book->longest = book->width = 0;
    book->codes = 0;
    book->symbols = 0;
    memset(book->counts, 0, sizeof(book->counts));
    if (part->size == 0) {
        return 0;
    }
    book->width = (unsigned)hapir__bits(part, 0, 6);
    book->longest = (unsigned)hapir__bits(part, 6, 6);
    const unsigned count = (unsigned)hapir__bits(part, 12, 6);
    if (part->size < 3 || book->width > 32 || book->longest > $longest || count > 32) {
        return 1;
    }
    book->symbols = 18 + (uint64_t)book->longest * count;
    if (book->symbols > (uint64_t)part->size * 8) {
        return 1;
    }
    for (unsigned i = 1; i <= book->longest; ++i) {
        book->counts[i] = (uint32_t)hapir__bits(part, 18 + (uint64_t)(i - 1) * count, count);
        codes += book->counts[i];
        left *= 2;
        if (book->counts[i] > left) {
            return 1;
        }
        left -= book->counts[i];
    }
    if (book->longest == 0) {
        codes = 1;
        left = 0;
    }
    if (left != 0 || codes > $codes) {
        return 1;
    }
    book->codes = (uint32_t)codes;
    return !hapir__has(part, book->symbols + codes * book->width);
}

static int hapir__code(const struct hapir__book *book, const struct hapir__part *stream, uint64_t *at, uint32_t *value)
{
    uint64_t code = 0, first = 0, before = 0;
    if (book->codes == 0) {
        return 1;
    }
    for (unsigned i = 1; i <= book->longest; ++i) {
        if (*at >= (uint64_t)stream->size * 8) {
            return 1;
        }
        code = code << 1 | hapir__bits(stream, (*at)++, 1);
        first <<= 1;
        if (code - first < book->counts[i]) {
            before += code - first;
            break;
        }
        first += book->counts[i];
        before += book->counts[i];
    }
    *value = (uint32_t)hapir__bits(book->part, book->symbols + before * book->width, book->width);
    return 0;
}"""

HUFFMAN_SYMBOLS = """\
static int hapir__huffman_symbols(const struct hapir__tensor *t, const struct hapir__part *parts)
{
    struct hapir__book book;
    uint64_t at = 0;
    if (hapir__read_book(&book, &parts[0])) {
        return 1;
    }
    for (uint32_t i = 0; i < t->count; ++i) {
        uint32_t symbol;
        if (hapir__code(&book, &parts[1], &at, &symbol) || hapir__put(t, i, symbol)) {
            return 1;
        }
    }
    return !hapir__has(&parts[1], at);
}"""

HUFFMAN_GAPS = """\
static int hapir__huffman_gaps(const struct hapir__tensor *t, const struct hapir__part *parts, uint32_t levels,
        unsigned width)
{
    struct hapir__book book;
    const uint32_t kept = (uint32_t)hapir__bits(&parts[1], 0, 32);
    uint64_t at = 0, position = 0;
    if (hapir__read_book(&book, &parts[0]) || !hapir__has(&parts[1], 32) || kept > t->count
        || !hapir__has(&parts[3], (uint64_t)levels * t->bits) || !hapir__has(&parts[4], (uint64_t)kept * width)
        || hapir__clear(t)) {
        return 1;
    }
    for (uint32_t i = 0; i < kept; ++i) {
        uint32_t distance;
        if (hapir__code(&book, &parts[2], &at, &distance) || (i > 0 && distance == 0)) {
            return 1;
        }
        position += distance;
        if (hapir__keep(t, &parts[3], levels, position, (uint32_t)hapir__bits(&parts[4], (uint64_t)i * width, width))) {
            return 1;
        }
    }
    return !hapir__has(&parts[2], at);
}"""

_BOOK = HUFFMAN.replace("$longest", str(LONGEST_CODE)).replace("$codes", str(MOST_CODES))


def c_decoder(encoding: Encoding, tensor: Tensor) -> tuple[tuple[str, ...], str] | None:
    """The functions that a decoder needs, in order, and its call on `&tensor` and `parts`; None without a C form.

    An encoding of a plug-in has none: its weights are decoded when the C is written.
    """

    def width(levels: int | Auto) -> int:
        return Levels(chosen(levels), tensor.bits).width

    match encoding:
        case Dense(width=field):
            return (COMMON, DENSE), f"hapir__dense(&tensor, parts, {field})"
        case BitPlanes(word=word):
            return (COMMON, BIT_PLANES), f"hapir__bit_planes(&tensor, parts, {word})"
        case Codebook(levels=levels):
            return (COMMON, LEVELS, CODEBOOK), f"hapir__codebook(&tensor, parts, {levels}, {width(levels)})"
        case Trits(levels=levels):
            return (COMMON, LEVELS, TRITS), f"hapir__trits(&tensor, parts, {levels})"
        case Bitmap(levels=levels):
            return (COMMON, LEVELS, KEPT, BITMAP), f"hapir__bitmap(&tensor, parts, {levels}, {width(levels)})"
        case Rle(gap_bits=gap, levels=levels):
            return (COMMON, LEVELS, KEPT, RLE), f"hapir__rle(&tensor, parts, {gap}, {levels}, {width(levels)})"
        case Crs(columns=columns, index_bits=index, levels=levels):
            options = f"{pointer_width(tensor)}, {int(columns == 'relative')}, {index}, {levels}, {width(levels)}"
            return (COMMON, LEVELS, KEPT, POINTERS, CRS), f"hapir__crs(&tensor, parts, {options})"
        case Ras(index_bits=index, levels=levels):
            options = f"{pointer_width(tensor)}, {index}, {levels}"
            return (COMMON, LEVELS, KEPT, POINTERS, RAS), f"hapir__ras(&tensor, parts, {options})"
        case Huffman(source="symbols"):
            return (COMMON, _BOOK, HUFFMAN_SYMBOLS), "hapir__huffman_symbols(&tensor, parts)"
        case Huffman(levels=levels):
            texts = (COMMON, LEVELS, KEPT, _BOOK, HUFFMAN_GAPS)
            return texts, f"hapir__huffman_gaps(&tensor, parts, {levels}, {width(levels)})"
        case _:
            return None
