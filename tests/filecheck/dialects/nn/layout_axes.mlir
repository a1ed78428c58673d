// RUN: hapir opt %s | filecheck %s
// RUN: hapir opt %s | hapir opt | filecheck %s
// RUN: hapir opt %s --print-op-generic | hapir opt | filecheck %s

// The ops that move data along any axis, axis 0 included; slices, tiles, indices, and sampling.

nn.network @axes (%x: tensor<2x4x8xf32>, %b: tensor<3xui1>) -> () inputs ["x", "b"] results [] {
  %c = nn.concat %x, %x axis 0 : (tensor<2x4x8xf32>, tensor<2x4x8xf32>) -> tensor<4x4x8xf32>
  %s0, %s1 = nn.split %x axis 0 into [1, 1] : (tensor<2x4x8xf32>) -> (tensor<1x4x8xf32>, tensor<1x4x8xf32>)
  %r = nn.reshape %x to [64] from 0 layer "r" : tensor<2x4x8xf32> -> tensor<64xf32>
  %k = nn.reshape %x to [2, 4] from 2 : tensor<2x4x8xf32> -> tensor<2x4x2x4xf32>
  %z = nn.reshape %s0 to [] from 3 : tensor<1x4x8xf32> -> tensor<1x4x8xf32>
  %t = nn.transpose %x axes [2, 0, 1] : tensor<2x4x8xf32> -> tensor<8x2x4xf32>
  %p = nn.pad %x before [1, 0, 0] after [0, 5, 0] wrap value 0.0 : tensor<2x4x8xf32> -> tensor<3x9x8xf32>
  %q = nn.pad %b before [1] after [2] constant value 1.0 : tensor<3xui1> -> tensor<6xui1>
  nn.return
}

// CHECK:        %c = nn.concat %x, %x axis 0 : (tensor<2x4x8xf32>, tensor<2x4x8xf32>) -> tensor<4x4x8xf32>
// CHECK-NEXT:   %s0, %s1 = nn.split %x axis 0 into [1, 1] : (tensor<2x4x8xf32>) -> (tensor<1x4x8xf32>, tensor<1x4x8xf32>)
// CHECK-NEXT:   %r = nn.reshape %x to [64] from 0 layer "r" : tensor<2x4x8xf32> -> tensor<64xf32>
// CHECK-NEXT:   %k = nn.reshape %x to [2, 4] from 2 : tensor<2x4x8xf32> -> tensor<2x4x2x4xf32>
// CHECK-NEXT:   %z = nn.reshape %s0 to [] from 3 : tensor<1x4x8xf32> -> tensor<1x4x8xf32>
// CHECK-NEXT:   %t = nn.transpose %x axes [2, 0, 1] : tensor<2x4x8xf32> -> tensor<8x2x4xf32>
// CHECK-NEXT:   %p = nn.pad %x before [1, 0, 0] after [0, 5, 0] wrap value 0.0 : tensor<2x4x8xf32> -> tensor<3x9x8xf32>
// CHECK-NEXT:   %q = nn.pad %b before [1] after [2] constant value 1.0 : tensor<3xui1> -> tensor<6xui1>

nn.network @chosen (%x: tensor<2x4x8xf32>, %n: tensor<2x4xsi8>) -> () inputs ["x", "n"] results [] {
  %i = nn.weight "g.index" : tensor<2x3xsi64>
  %s = nn.slice %x from [0, 3, 1] take [2, 2, 3] by [1, -2, 1] layer "s" : tensor<2x4x8xf32> -> tensor<2x2x3xf32>
  %t = nn.tile %n repeats [1, 3] : tensor<2x4xsi8> -> tensor<2x12xsi8>
  %g = nn.gather %x, %i axis 1 layer "g" : (tensor<2x4x8xf32>, tensor<2x3xsi64>) -> tensor<2x2x3x8xf32>
  %a = nn.resample %n axes [1, 0] to [6, 1] nearest at asymmetric nearest ceil : tensor<2x4xsi8> -> tensor<1x6xsi8>
  %b = nn.resample %x axes [2] to [7] scales [0.9] linear at half_pixel_symmetric antialias layer "b" : tensor<2x4x8xf32> -> tensor<2x4x7xf32>
  %c = nn.resample %x axes [2] to [9] cubic at align_corners sharpness -0.5 inside : tensor<2x4x8xf32> -> tensor<2x4x9xf32>
  %d = nn.resample %x axes [1, 2] to [3, 3] linear at crop region [0.0, 0.25, 1.0, 1.5] outside 2.5 : tensor<2x4x8xf32> -> tensor<2x3x3xf32>
  nn.return
}

// CHECK:        %s = nn.slice %x from [0, 3, 1] take [2, 2, 3] by [1, -2, 1] layer "s" : tensor<2x4x8xf32> -> tensor<2x2x3xf32>
// CHECK-NEXT:   %t = nn.tile %n repeats [1, 3] : tensor<2x4xsi8> -> tensor<2x12xsi8>
// CHECK-NEXT:   %g = nn.gather %x, %i axis 1 layer "g" : (tensor<2x4x8xf32>, tensor<2x3xsi64>) -> tensor<2x2x3x8xf32>
// CHECK-NEXT:   %a = nn.resample %n axes [1, 0] to [6, 1] nearest at asymmetric nearest ceil : tensor<2x4xsi8> -> tensor<1x6xsi8>
// CHECK-NEXT:   %b = nn.resample %x axes [2] to [7] scales [0.9] linear at half_pixel_symmetric antialias layer "b" : tensor<2x4x8xf32> -> tensor<2x4x7xf32>
// CHECK-NEXT:   %c = nn.resample %x axes [2] to [9] cubic at align_corners sharpness -0.5 inside : tensor<2x4x8xf32> -> tensor<2x4x9xf32>
// CHECK-NEXT:   %d = nn.resample %x axes [1, 2] to [3, 3] linear at crop region [0.0, 0.25, 1.0, 1.5] outside 2.5 : tensor<2x4x8xf32> -> tensor<2x3x3xf32>
