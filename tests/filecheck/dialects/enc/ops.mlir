// RUN: hapir opt %s | hapir opt | filecheck %s

// Every op of enc, printed and parsed again.
// CHECK-LABEL: @sparse
// CHECK:       %w = enc.decode "rle(gap_bits = 4, levels = 2)" of "c1.weight" zero 0(%levels, %words) {bits = 76 : i64} : (tensor<1xui8>, tensor<9xui8>) -> tensor<4x9x!num.ternary>
// CHECK:       %b = enc.decode "huffman(source = symbols, levels = 0)"(%book, %none) : (tensor<5xui8>, tensor<0xui8>) -> tensor<7xf32>
nn.network @sparse () -> (tensor<4x9x!num.ternary>, tensor<7xf32>) inputs [] results ["a", "b"] {
  %levels = nn.weight "l" : tensor<1xui8>
  %words = nn.weight "w" : tensor<9xui8>
  %w = enc.decode "rle(gap_bits = 4, levels = 2)" of "c1.weight" zero 0 (%levels, %words) {bits = 76 : i64} : (tensor<1xui8>, tensor<9xui8>) -> tensor<4x9x!num.ternary>
  %book = nn.weight "b" : tensor<5xui8>
  %none = nn.weight "n" : tensor<0xui8>
  %b = enc.decode "huffman(source = symbols, levels = 0)" (%book, %none) : (tensor<5xui8>, tensor<0xui8>) -> tensor<7xf32>
  nn.return %w, %b : tensor<4x9x!num.ternary>, tensor<7xf32>
}
