// RUN: hapir opt %s | filecheck %s
// RUN: hapir opt %s | hapir opt | filecheck %s

// Generators of weights: slices that divide the weight, and slices that are cropped.

nn.network @n () -> () inputs [] results [] {
  %a = nn.weight "csg.matrix" : tensor<16x3xf32>
  %b = nn.weight "bsg.vector" : tensor<2xui16>
  %c = nn.weight "c1.codes" : tensor<4x3xf32>
  %d = nn.weight "c2.codes" : tensor<6x2xui16>
  // CHECK: %e = enc.csg_generate %c, %a slice [2, 2, 2, 2] : (tensor<4x3xf32>, tensor<16x3xf32>) -> tensor<4x4x2x2xf32>
  %e = enc.csg_generate %c, %a slice [2, 2, 2, 2] : (tensor<4x3xf32>, tensor<16x3xf32>) -> tensor<4x4x2x2xf32>
  // CHECK: %f = enc.csg_generate %c, %a slice [2, 2, 2, 2] : (tensor<4x3xf32>, tensor<16x3xf32>) -> tensor<3x3x1x1xf32>
  %f = enc.csg_generate %c, %a slice [2, 2, 2, 2] : (tensor<4x3xf32>, tensor<16x3xf32>) -> tensor<3x3x1x1xf32>
  // CHECK: %g = enc.bsg_generate %d, %b length 24 slice [4, 4] scale 0.0625 polarity "xnor" : (tensor<6x2xui16>, tensor<2xui16>) -> tensor<8x10xf32>
  %g = enc.bsg_generate %d, %b length 24 slice [4, 4] scale 0.0625 polarity "xnor" : (tensor<6x2xui16>, tensor<2xui16>) -> tensor<8x10xf32>
  nn.return
}
