// RUN: hapir opt %s -p simplify_shapes | filecheck %s

// CHECK:      nn.network @shapes
// CHECK-NEXT:   %y = nn.flatten %x layer "y" : tensor<1x8x1x1xf32> -> tensor<1x8xf32>
// CHECK-NEXT:   [[M:%.*]] = nn.reshape %s to [6, 4] layer "m" : tensor<1x2x3x4xf32> -> tensor<1x6x4xf32>
// CHECK-NEXT:   %n = nn.transpose [[M]] axes [0, 2, 1] layer "n" : tensor<1x6x4xf32> -> tensor<1x4x6xf32>
// CHECK-NEXT:   nn.return %y, %n, %y

nn.network @shapes (%x: tensor<1x8x1x1xf32>, %s: tensor<1x2x3x4xf32>) -> (tensor<1x8xf32>, tensor<1x4x6xf32>, tensor<1x8xf32>) inputs ["x", "s"] results ["a", "b", "c"] {
  %t = nn.transpose %x axes [0, 2, 3, 1] layer "t" : tensor<1x8x1x1xf32> -> tensor<1x1x1x8xf32>
  %y = nn.reshape %t to [8] layer "y" : tensor<1x1x1x8xf32> -> tensor<1x8xf32>
  %m = nn.transpose %s axes [0, 3, 1, 2] layer "m" : tensor<1x2x3x4xf32> -> tensor<1x4x2x3xf32>
  %n = nn.reshape %m to [4, 6] layer "n" : tensor<1x4x2x3xf32> -> tensor<1x4x6xf32>
  %p = nn.pad %y before [0, 0] after [0, 0] constant value 0.0 layer "p" : tensor<1x8xf32> -> tensor<1x8xf32>
  nn.return %y, %n, %p : tensor<1x8xf32>, tensor<1x4x6xf32>, tensor<1x8xf32>
}
