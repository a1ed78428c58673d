// RUN: hapir opt %s -p simplify_arithmetic | filecheck %s

// A quotient by a number is a product, two sums are one, and `x * 1` is x.
// CHECK:      nn.network @numbers
// CHECK-NEXT:   [[FOURTH:%.*]] = nn.fill 0.25 : tensor<f32>
// CHECK-NEXT:   [[Q:%.*]] = nn.mul %x, [[FOURTH]] layer "q"
// CHECK-NEXT:   [[FIVE:%.*]] = nn.fill 5.0 : tensor<f32>
// CHECK-NEXT:   [[B:%.*]] = nn.add [[Q]], [[FIVE]] layer "b"
// CHECK-NEXT:   nn.return [[B]]

nn.network @numbers (%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) inputs ["x"] results ["y"] {
  %one = nn.fill 1.0 : tensor<f32>
  %two = nn.fill 2.0 : tensor<f32>
  %three = nn.fill 3.0 : tensor<f32>
  %four = nn.fill 4.0 : tensor<f32>
  %q = nn.pointwise div(%x, %four) layer "q" : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4xf32>
  %a = nn.add %two, %q layer "a" : (tensor<f32>, tensor<1x4xf32>) -> tensor<1x4xf32>
  %b = nn.add %a, %three layer "b" : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4xf32>
  %c = nn.mul %b, %one layer "c" : (tensor<1x4xf32>, tensor<f32>) -> tensor<1x4xf32>
  nn.return %c : tensor<1x4xf32>
}
