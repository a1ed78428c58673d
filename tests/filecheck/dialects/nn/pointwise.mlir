// RUN: hapir opt %s | filecheck %s
// RUN: hapir opt %s | hapir opt | filecheck %s
// RUN: hapir opt %s --print-op-generic | hapir opt | filecheck %s

nn.network @functions (%x: tensor<2x3x4xf32>, %k: tensor<4xsi32>) -> (tensor<2x3x4xf32>, tensor<4xui1>) inputs ["x", "k"] results ["y", "c"] {
  %half = nn.fill 0.5 : tensor<f32>
  %two = nn.fill 2 : tensor<si32>
  %m = nn.mul %x, %half layer "m" : (tensor<2x3x4xf32>, tensor<f32>) -> tensor<2x3x4xf32>
  %e = nn.pointwise elu(%m) with [1.5] layer "e" : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  %r = nn.cast %k layer "r" : tensor<4xsi32> -> tensor<4xf32>
  %p = nn.pointwise pow(%e, %r) layer "p" : (tensor<2x3x4xf32>, tensor<4xf32>) -> tensor<2x3x4xf32>
  %g = nn.pointwise greater(%k, %two) layer "g" : (tensor<4xsi32>, tensor<si32>) -> tensor<4xui1>
  nn.return %p, %g : tensor<2x3x4xf32>, tensor<4xui1>
}

// CHECK:      %half = nn.fill 0.5 : tensor<f32>
// CHECK-NEXT: %two = nn.fill 2 : tensor<si32>
// CHECK-NEXT: %m = nn.mul %x, %half layer "m" : (tensor<2x3x4xf32>, tensor<f32>) -> tensor<2x3x4xf32>
// CHECK-NEXT: %e = nn.pointwise elu(%m) with [1.5] layer "e" : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
// CHECK-NEXT: %r = nn.cast %k layer "r" : tensor<4xsi32> -> tensor<4xf32>
// CHECK-NEXT: %p = nn.pointwise pow(%e, %r) layer "p" : (tensor<2x3x4xf32>, tensor<4xf32>) -> tensor<2x3x4xf32>
// CHECK-NEXT: %g = nn.pointwise greater(%k, %two) layer "g" : (tensor<4xsi32>, tensor<si32>) -> tensor<4xui1>
