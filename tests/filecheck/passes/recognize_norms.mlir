// RUN: hapir opt %s -p recognize_norms | filecheck %s

// The pieces of a layer norm; a mean that is not of the last axes makes none.

nn.network @norms (%x: tensor<1x6x16xf32>) -> (tensor<1x6x16xf32>, tensor<1x6x16xf32>) inputs ["x"] results ["a", "b"] {
  %epsilon = nn.fill 1.0e-05 : tensor<f32>
  %m = nn.reduce mean %x axes [2] keep : tensor<1x6x16xf32> -> tensor<1x6x1xf32>
  %d = nn.sub %x, %m : (tensor<1x6x16xf32>, tensor<1x6x1xf32>) -> tensor<1x6x16xf32>
  %q = nn.mul %d, %d : (tensor<1x6x16xf32>, tensor<1x6x16xf32>) -> tensor<1x6x16xf32>
  %v = nn.reduce mean %q axes [2] keep : tensor<1x6x16xf32> -> tensor<1x6x1xf32>
  %e = nn.add %v, %epsilon : (tensor<1x6x1xf32>, tensor<f32>) -> tensor<1x6x1xf32>
  %s = nn.pointwise sqrt(%e) : (tensor<1x6x1xf32>) -> tensor<1x6x1xf32>
  %a = nn.pointwise div(%d, %s) layer "a" : (tensor<1x6x16xf32>, tensor<1x6x1xf32>) -> tensor<1x6x16xf32>
  %m2 = nn.reduce mean %x axes [1] keep : tensor<1x6x16xf32> -> tensor<1x1x16xf32>
  %b = nn.sub %x, %m2 layer "b" : (tensor<1x6x16xf32>, tensor<1x1x16xf32>) -> tensor<1x6x16xf32>
  nn.return %a, %b : tensor<1x6x16xf32>, tensor<1x6x16xf32>
}

// CHECK:      [[G:%.*]] = nn.weight "a.gamma" : tensor<16xf32>
// CHECK-NEXT: [[B:%.*]] = nn.weight "a.beta" : tensor<16xf32>
// CHECK-NEXT: nn.layer_norm %x, [[G]], [[B]] axis 2 epsilon 1.0e-05 layer "a"
// CHECK-NEXT: [[M:%.*]] = nn.reduce mean %x axes [1] keep
// CHECK-NEXT: nn.sub %x, [[M]] layer "b"
