// RUN: hapir opt %s -p recognize_activations | filecheck %s

// x clip(x + 3, 0, 6) / 6; the op takes the name of the last piece. What else reads a piece keeps it.
// CHECK:      nn.network @pieces
// CHECK-NEXT:   %y = nn.hard_swish %x layer "act"
// CHECK-NEXT:   %r = nn.clip %x from 0.0 to 6.0 layer "r"
// CHECK-NEXT:   nn.return %y, %r

nn.network @pieces (%x: tensor<1x4xf32>) -> (tensor<1x4xf32>, tensor<1x4xf32>) inputs ["x"] results ["y", "z"] {
  %three = nn.fill 3.0 : tensor<f32>
  %sixth = nn.fill 0.16666667 : tensor<f32>
  %zero = nn.fill 0.0 : tensor<f32>
  %six = nn.fill 6.0 : tensor<f32>
  %a = nn.add %x, %three layer "a" : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4xf32>
  %c = nn.clip %a from 0.0 to 6.0 layer "c" : tensor<1x4xf32> -> tensor<1x4xf32>
  %p = nn.mul %x, %c layer "p" : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32>
  %y = nn.mul %p, %sixth layer "act" : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4xf32>
  %m = nn.pointwise maximum(%x, %zero) layer "m" : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4xf32>
  %r = nn.pointwise minimum(%m, %six) layer "r" : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4xf32>
  nn.return %y, %r : tensor<1x4xf32>, tensor<1x4xf32>
}
