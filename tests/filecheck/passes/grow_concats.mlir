// RUN: hapir opt %s -p grow_concats | filecheck %s

// The longest beginning counts; another axis, another order and a later concatenation do not.

nn.network @dense (%x: tensor<1x2x4x4xf32>, %y: tensor<1x3x4x4xf32>, %z: tensor<1x4x4x4xf32>) -> (tensor<1x9x4x4xf32>, tensor<1x9x4x4xf32>, tensor<1x14x4x4xf32>) inputs ["x", "y", "z"] results ["a", "b", "c"] {
  %p = nn.concat %x, %y axis 1 layer "p" : (tensor<1x2x4x4xf32>, tensor<1x3x4x4xf32>) -> tensor<1x5x4x4xf32>
  %q = nn.concat %x, %y, %z axis 1 layer "q" : (tensor<1x2x4x4xf32>, tensor<1x3x4x4xf32>, tensor<1x4x4x4xf32>) -> tensor<1x9x4x4xf32>
  %r = nn.concat %y, %x, %z axis 1 layer "r" : (tensor<1x3x4x4xf32>, tensor<1x2x4x4xf32>, tensor<1x4x4x4xf32>) -> tensor<1x9x4x4xf32>
  %s = nn.concat %x, %y, %z, %p axis 1 layer "s" : (tensor<1x2x4x4xf32>, tensor<1x3x4x4xf32>, tensor<1x4x4x4xf32>, tensor<1x5x4x4xf32>) -> tensor<1x14x4x4xf32>
  nn.return %q, %r, %s : tensor<1x9x4x4xf32>, tensor<1x9x4x4xf32>, tensor<1x14x4x4xf32>
}

// CHECK:      [[P:%.*]] = nn.concat %x, %y axis 1 layer "p"
// CHECK-NEXT: [[Q:%.*]] = nn.concat [[P]], %z axis 1 layer "q"
// CHECK-NEXT: [[R:%.*]] = nn.concat %y, %x, %z axis 1 layer "r"
// CHECK-NEXT: [[S:%.*]] = nn.concat [[Q]], [[P]] axis 1 layer "s"
