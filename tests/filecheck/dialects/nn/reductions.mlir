// RUN: hapir opt %s | filecheck %s
// RUN: hapir opt %s | hapir opt | filecheck %s
// RUN: hapir opt %s --print-op-generic | hapir opt | filecheck %s

nn.network @reductions (%x: tensor<2x3x4x5xf32>, %k: tensor<3x4xsi64>) -> (tensor<2x3x1x1xf32>, tensor<si64>, tensor<2x3x4x5xf32>, tensor<2x1x4x5xsi32>) inputs ["x", "k"] results ["a", "b", "c", "d"] {
  %a = nn.reduce mean %x axes [2, 3] keep layer "a" : tensor<2x3x4x5xf32> -> tensor<2x3x1x1xf32>
  %b = nn.reduce sum %k axes [0, 1] layer "b" : tensor<3x4xsi64> -> tensor<si64>
  %s = nn.softmax %x axis 3 layer "s" : tensor<2x3x4x5xf32> -> tensor<2x3x4x5xf32>
  %c = nn.log_softmax %s layer "c" : tensor<2x3x4x5xf32> -> tensor<2x3x4x5xf32>
  %d = nn.argmax %x keep last layer "d" : tensor<2x3x4x5xf32> -> tensor<2x1x4x5xsi32>
  nn.return %a, %b, %c, %d : tensor<2x3x1x1xf32>, tensor<si64>, tensor<2x3x4x5xf32>, tensor<2x1x4x5xsi32>
}

// CHECK:      %a = nn.reduce mean %x axes [2, 3] keep layer "a" : tensor<2x3x4x5xf32> -> tensor<2x3x1x1xf32>
// CHECK-NEXT: %b = nn.reduce sum %k axes [0, 1] layer "b" : tensor<3x4xsi64> -> tensor<si64>
// CHECK-NEXT: %s = nn.softmax %x axis 3 layer "s" : tensor<2x3x4x5xf32> -> tensor<2x3x4x5xf32>
// CHECK-NEXT: %c = nn.log_softmax %s layer "c" : tensor<2x3x4x5xf32> -> tensor<2x3x4x5xf32>
// CHECK-NEXT: %d = nn.argmax %x keep last layer "d" : tensor<2x3x4x5xf32> -> tensor<2x1x4x5xsi32>
