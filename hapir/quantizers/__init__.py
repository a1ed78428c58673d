"""Weight quantizers as plain numpy: real weights in, coded weights out."""
