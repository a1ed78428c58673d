// RUN: hapir opt %s -p join_biases | filecheck %s

// Constants along channels and features become biases; other constants, and layers that others read too, stay.

nn.network @biases (%x: tensor<1x3x4x4xf32>, %t: tensor<1x5x8xf32>) -> (tensor<1x2x4x4xf32>, tensor<1x5x6xf32>, tensor<1x2x4x4xf32>) inputs ["x", "t"] results ["a", "b", "c"] {
  %w = nn.weight "w" : tensor<2x3x1x1xf32>
  %u = nn.weight "u" : tensor<6x8xf32>
  %v = nn.weight "v" : tensor<6xf32>
  %k = nn.weight "k" : tensor<2x1x1xf32>
  %m = nn.weight "m" : tensor<4x4xf32>
  %n = nn.weight "n" : tensor<6xf32>
  %p = nn.conv2d %x, %w window <1x1> groups 1 layer "p" : (tensor<1x3x4x4xf32>, tensor<2x3x1x1xf32>) -> tensor<1x2x4x4xf32>
  %a = nn.add %k, %p layer "a" : (tensor<2x1x1xf32>, tensor<1x2x4x4xf32>) -> tensor<1x2x4x4xf32>
  %q = nn.linear %t, %u bias %v layer "q" : (tensor<1x5x8xf32>, tensor<6x8xf32>, tensor<6xf32>) -> tensor<1x5x6xf32>
  %b = nn.sub %q, %n layer "b" : (tensor<1x5x6xf32>, tensor<6xf32>) -> tensor<1x5x6xf32>
  %r = nn.conv2d %x, %w window <1x1> groups 1 layer "r" : (tensor<1x3x4x4xf32>, tensor<2x3x1x1xf32>) -> tensor<1x2x4x4xf32>
  %c = nn.add %r, %m layer "c" : (tensor<1x2x4x4xf32>, tensor<4x4xf32>) -> tensor<1x2x4x4xf32>
  nn.return %a, %b, %c : tensor<1x2x4x4xf32>, tensor<1x5x6xf32>, tensor<1x2x4x4xf32>
}

// Without the numbers nothing can be joined: the file has no weights.
// CHECK: nn.add %k, %p layer "a"
// CHECK: nn.sub %q, %n layer "b"
// CHECK: nn.add %r, %m layer "c"
