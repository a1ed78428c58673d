// RUN: hapir opt %s | filecheck %s
// RUN: hapir opt %s | hapir opt | filecheck %s
// RUN: hapir opt %s --print-op-generic | hapir opt | filecheck %s

// Norms over groups and by the mean square, dilated pools and their indices, products that broadcast, weights that are inputs.

nn.network @norms (%x: tensor<2x4x8x8xf32>, %g: tensor<4xf32>, %all: tensor<2x4x8x8xf32>) -> () inputs ["x", "g", "all"] results [] {
  %a = nn.group_norm %x, %g, %g groups 2 epsilon 1.0e-05 layer "a" : (tensor<2x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<2x4x8x8xf32>
  %b = nn.rms_norm %a, %all axis 0 epsilon 0.1 : (tensor<2x4x8x8xf32>, tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %c = nn.layer_norm %a, %all, %all axis 0 epsilon 0.1 : (tensor<2x4x8x8xf32>, tensor<2x4x8x8xf32>, tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
  %d = nn.max_pool %x window <2x2, pad 1 1 1 1, dilation 3x3> : tensor<2x4x8x8xf32> -> tensor<2x4x7x7xf32>
  %e = nn.max_pool_indices %x window <2x2, stride 2x2> columns_first true layer "e" : tensor<2x4x8x8xf32> -> tensor<2x4x4x4xsi64>
  nn.return
}

// CHECK:      nn.network @norms
// CHECK-NEXT:   %a = nn.group_norm %x, %g, %g groups 2 epsilon 1.0e-05 layer "a" : (tensor<2x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<2x4x8x8xf32>
// CHECK-NEXT:   %b = nn.rms_norm %a, %all axis 0 epsilon 0.1 : (tensor<2x4x8x8xf32>, tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
// CHECK-NEXT:   %c = nn.layer_norm %a, %all, %all axis 0 epsilon 0.1 : (tensor<2x4x8x8xf32>, tensor<2x4x8x8xf32>, tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
// CHECK-NEXT:   %d = nn.max_pool %x window <2x2, pad 1 1 1 1, dilation 3x3> : tensor<2x4x8x8xf32> -> tensor<2x4x7x7xf32>
// CHECK-NEXT:   %e = nn.max_pool_indices %x window <2x2, stride 2x2> columns_first true layer "e" : tensor<2x4x8x8xf32> -> tensor<2x4x4x4xsi64>
// CHECK-NEXT:   nn.return

nn.network @products (%x: tensor<1x4x16xf32>, %w: tensor<4x2x3xf32>, %v: tensor<16xf32>, %i: tensor<3x1x4x2xsi64>, %j: tensor<5x2x6xsi64>, %p: tensor<3x16xf32>) -> () inputs ["x", "w", "v", "i", "j", "p"] results [] {
  %t = nn.transposed_conv1d %x, %w window <1x3, stride 1x2> extra [0, 1] groups 2 layer "t" : (tensor<1x4x16xf32>, tensor<4x2x3xf32>) -> tensor<1x4x34xf32>
  %l = nn.linear %x, %p layer "l" : (tensor<1x4x16xf32>, tensor<3x16xf32>) -> tensor<1x4x3xf32>
  %m = nn.matmul %x, %v : (tensor<1x4x16xf32>, tensor<16xf32>) -> tensor<1x4xf32>
  %s = nn.matmul %v, %v : (tensor<16xf32>, tensor<16xf32>) -> tensor<f32>
  %k = nn.matmul %i, %j layer "k" : (tensor<3x1x4x2xsi64>, tensor<5x2x6xsi64>) -> tensor<3x5x4x6xsi64>
  nn.return
}

// CHECK:      nn.network @products
// CHECK-NEXT:   %t = nn.transposed_conv1d %x, %w window <1x3, stride 1x2> extra [0, 1] groups 2 layer "t" : (tensor<1x4x16xf32>, tensor<4x2x3xf32>) -> tensor<1x4x34xf32>
// CHECK-NEXT:   %l = nn.linear %x, %p layer "l" : (tensor<1x4x16xf32>, tensor<3x16xf32>) -> tensor<1x4x3xf32>
// CHECK-NEXT:   %m = nn.matmul %x, %v : (tensor<1x4x16xf32>, tensor<16xf32>) -> tensor<1x4xf32>
// CHECK-NEXT:   %s = nn.matmul %v, %v : (tensor<16xf32>, tensor<16xf32>) -> tensor<f32>
// CHECK-NEXT:   %k = nn.matmul %i, %j layer "k" : (tensor<3x1x4x2xsi64>, tensor<5x2x6xsi64>) -> tensor<3x5x4x6xsi64>
// CHECK-NEXT:   nn.return
