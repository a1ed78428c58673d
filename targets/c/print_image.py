"""Weights that stay in the caller's memory: `<name>_load` checks them and keeps their address in the context."""

from __future__ import annotations

import zlib

from hapir.lowering.kernel.plan_image import Image
from hapir.targets.c.print_loads import LOADED, PrintedLoads, print_crc
from hapir.targets.c.text import c

ALIGNED_TO = 8
"""Bytes that the address must be a multiple of: the widest element. 64 is faster."""

MEMBERS = """
const uint8_t *weights; /* the caller's, from $name_load on */
uint32_t loaded; /* whether they are there */
"""
"""In the context, beside the arena; $name is the network."""

LOAD = f"""
/* Let the context use the weights; once, before the first run. `file` is all of $name_weights.bin, read or mapped: it
 * is used where it lies and must stay there, its address a multiple of {ALIGNED_TO}, better of 64. Any number of
 * contexts may share it. Returns 0; 1 where a pointer is null; 2 where the bytes are not that file, by length or
 * CRC-32; 3 where the address is no such multiple. After 2 or 3 the context has no weights. */
int $name_load(struct $name_ctx *ctx, const unsigned char *file, size_t size);

/* The same bytes, in $name_file.c: compile it where there is no file to read. */
extern const unsigned char $name_file[$UPPER_FILE_BYTES];
"""


def print_image(name: str, image: Image) -> PrintedLoads:
    """The text of `<name>_load`."""
    wide = any(placed.table.values.itemsize > 1 for placed in image.placed)
    order = (
        "#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__\n"
        '#error "the weights file is for machines that store the smallest byte first"\n#endif'
    )
    text = c(
        """
        int $name_load(struct $name_ctx *ctx, const unsigned char *file, size_t size)
        {
            if (ctx == NULL || file == NULL) {
                return 1;
            }
            ctx->loaded = 0;
            if (size != $UPPER_FILE_BYTES || hapir__crc(file, size) != $crc) {
                return 2;
            }
            if ((uintptr_t)file % $aligned != 0) {
                return 3;
            }
            ctx->weights = file;
            ctx->loaded = $loaded;
            return 0;
        }
        """.replace("$name", name).replace("$UPPER", name.upper()),
        crc=f"0x{zlib.crc32(image.data):08X}U",
        aligned=ALIGNED_TO,
        loaded=f"0x{LOADED:08X}U",
    )
    return PrintedLoads(((order,) if wide else ()) + (print_crc(),), text)
