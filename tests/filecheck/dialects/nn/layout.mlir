// RUN: hapir opt %s | filecheck %s
// RUN: hapir opt %s | hapir opt | filecheck %s
// RUN: hapir opt %s --print-op-generic | hapir opt | filecheck %s

// The ops that move data, on floats and on integers.

nn.network @floats (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
  %a, %b = nn.split %x axis 1 into [1, 3] layer "s" : (tensor<1x4x8x8xf32>) -> (tensor<1x1x8x8xf32>, tensor<1x3x8x8xf32>)
  %c = nn.split %b axis 3 into [8] : (tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xf32>
  %r = nn.reshape %a to [16, 4] layer "r" : tensor<1x1x8x8xf32> -> tensor<1x16x4xf32>
  %t = nn.transpose %r axes [0, 2, 1] layer "t" : tensor<1x16x4xf32> -> tensor<1x4x16xf32>
  %p = nn.pad %x before [0, 0, 1, 2] after [0, 4, 0, 1] constant value -0.5 layer "p" : tensor<1x4x8x8xf32> -> tensor<1x8x9x11xf32>
  %e = nn.pad %t before [0, 0, 3] after [0, 0, 0] edge value 0.0 : tensor<1x4x16xf32> -> tensor<1x4x19xf32>
  %f = nn.pad %e before [0, 0, 3] after [0, 0, 18] reflect value 0.0 : tensor<1x4x19xf32> -> tensor<1x4x40xf32>
  %n = nn.resize %x to 5 x 16 nearest layer "n" : tensor<1x4x8x8xf32> -> tensor<1x4x5x16xf32>
  %l = nn.resize %n to 10 x 7 bilinear : tensor<1x4x5x16xf32> -> tensor<1x4x10x7xf32>
  %k = nn.resize %l to 1 x 1 bilinear_corners : tensor<1x4x10x7xf32> -> tensor<1x4x1x1xf32>
  nn.return
}

// CHECK:      nn.network @floats (%x: tensor<1x4x8x8xf32>) -> () inputs ["x"] results [] {
// CHECK-NEXT:   %a, %b = nn.split %x axis 1 into [1, 3] layer "s" : (tensor<1x4x8x8xf32>) -> (tensor<1x1x8x8xf32>, tensor<1x3x8x8xf32>)
// CHECK-NEXT:   %c = nn.split %b axis 3 into [8] : (tensor<1x3x8x8xf32>) -> tensor<1x3x8x8xf32>
// CHECK-NEXT:   %r = nn.reshape %a to [16, 4] layer "r" : tensor<1x1x8x8xf32> -> tensor<1x16x4xf32>
// CHECK-NEXT:   %t = nn.transpose %r axes [0, 2, 1] layer "t" : tensor<1x16x4xf32> -> tensor<1x4x16xf32>
// CHECK-NEXT:   %p = nn.pad %x before [0, 0, 1, 2] after [0, 4, 0, 1] constant value -0.5 layer "p" : tensor<1x4x8x8xf32> -> tensor<1x8x9x11xf32>
// CHECK-NEXT:   %e = nn.pad %t before [0, 0, 3] after [0, 0, 0] edge value 0.0 : tensor<1x4x16xf32> -> tensor<1x4x19xf32>
// CHECK-NEXT:   %f = nn.pad %e before [0, 0, 3] after [0, 0, 18] reflect value 0.0 : tensor<1x4x19xf32> -> tensor<1x4x40xf32>
// CHECK-NEXT:   %n = nn.resize %x to 5 x 16 nearest layer "n" : tensor<1x4x8x8xf32> -> tensor<1x4x5x16xf32>
// CHECK-NEXT:   %l = nn.resize %n to 10 x 7 bilinear : tensor<1x4x5x16xf32> -> tensor<1x4x10x7xf32>
// CHECK-NEXT:   %k = nn.resize %l to 1 x 1 bilinear_corners : tensor<1x4x10x7xf32> -> tensor<1x4x1x1xf32>
// CHECK-NEXT:   nn.return
// CHECK-NEXT: }

nn.network @integers (%x: tensor<1x4x8x8x!num.affine<ui8, 0.5 : 3>>, %y: tensor<1x4xsi32>) -> () inputs ["x", "y"] results [] {
  %a, %b = nn.split %x axis 1 into [1, 3] : (tensor<1x4x8x8x!num.affine<ui8, 0.5 : 3>>) -> (tensor<1x1x8x8x!num.affine<ui8, 0.5 : 3>>, tensor<1x3x8x8x!num.affine<ui8, 0.5 : 3>>)
  %r = nn.reshape %a to [64] : tensor<1x1x8x8x!num.affine<ui8, 0.5 : 3>> -> tensor<1x64x!num.affine<ui8, 0.5 : 3>>
  %t = nn.transpose %b axes [0, 2, 3, 1] : tensor<1x3x8x8x!num.affine<ui8, 0.5 : 3>> -> tensor<1x8x8x3x!num.affine<ui8, 0.5 : 3>>
  %p = nn.pad %x before [0, 0, 1, 1] after [0, 0, 1, 1] constant value 0.25 : tensor<1x4x8x8x!num.affine<ui8, 0.5 : 3>> -> tensor<1x4x10x10x!num.affine<ui8, 0.5 : 3>>
  %o = nn.pad %y before [0, 1] after [0, 1] constant value -7.0 : tensor<1x4xsi32> -> tensor<1x6xsi32>
  %n = nn.resize %x to 16 x 16 nearest : tensor<1x4x8x8x!num.affine<ui8, 0.5 : 3>> -> tensor<1x4x16x16x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// CHECK:      nn.network @integers (%x: tensor<1x4x8x8x!num.affine<ui8, 0.5 : 3>>, %y: tensor<1x4xsi32>) -> () inputs ["x", "y"] results [] {
// CHECK-NEXT:   %a, %b = nn.split %x axis 1 into [1, 3] : (tensor<1x4x8x8x!num.affine<ui8, 0.5 : 3>>) -> (tensor<1x1x8x8x!num.affine<ui8, 0.5 : 3>>, tensor<1x3x8x8x!num.affine<ui8, 0.5 : 3>>)
// CHECK-NEXT:   %r = nn.reshape %a to [64] : tensor<1x1x8x8x!num.affine<ui8, 0.5 : 3>> -> tensor<1x64x!num.affine<ui8, 0.5 : 3>>
// CHECK-NEXT:   %t = nn.transpose %b axes [0, 2, 3, 1] : tensor<1x3x8x8x!num.affine<ui8, 0.5 : 3>> -> tensor<1x8x8x3x!num.affine<ui8, 0.5 : 3>>
// CHECK-NEXT:   %p = nn.pad %x before [0, 0, 1, 1] after [0, 0, 1, 1] constant value 0.25 : tensor<1x4x8x8x!num.affine<ui8, 0.5 : 3>> -> tensor<1x4x10x10x!num.affine<ui8, 0.5 : 3>>
// CHECK-NEXT:   %o = nn.pad %y before [0, 1] after [0, 1] constant value -7.0 : tensor<1x4xsi32> -> tensor<1x6xsi32>
// CHECK-NEXT:   %n = nn.resize %x to 16 x 16 nearest : tensor<1x4x8x8x!num.affine<ui8, 0.5 : 3>> -> tensor<1x4x16x16x!num.affine<ui8, 0.5 : 3>>
// CHECK-NEXT:   nn.return
// CHECK-NEXT: }

nn.network @taps (%x: tensor<1x4x8x8xf32>, %l: tensor<1x4x9xf32>, %v: tensor<1x6x!num.affine<ui8, 0.5 : 3>>) -> () inputs ["x", "l", "v"] results [] {
  %t = nn.weight "c1.taps" : tensor<7xsi32>
  %a = nn.gather_taps %x, %t window <3x3, stride 2x1> layer "c1.taps" : (tensor<1x4x8x8xf32>, tensor<7xsi32>) -> tensor<1x7x3x6xf32>
  %b = nn.gather_taps %l, %t window <1x3> : (tensor<1x4x9xf32>, tensor<7xsi32>) -> tensor<1x7x7xf32>
  %c = nn.gather_taps %v, %t window <1x1> : (tensor<1x6x!num.affine<ui8, 0.5 : 3>>, tensor<7xsi32>) -> tensor<1x7x!num.affine<ui8, 0.5 : 3>>
  nn.return
}

// CHECK:   %a = nn.gather_taps %x, %t window <3x3, stride 2x1> layer "c1.taps" : (tensor<1x4x8x8xf32>, tensor<7xsi32>) -> tensor<1x7x3x6xf32>
// CHECK-NEXT:   %b = nn.gather_taps %l, %t window <1x3> : (tensor<1x4x9xf32>, tensor<7xsi32>) -> tensor<1x7x7xf32>
// CHECK-NEXT:   %c = nn.gather_taps %v, %t window <1x1> : (tensor<1x6x!num.affine<ui8, 0.5 : 3>>, tensor<7xsi32>) -> tensor<1x7x!num.affine<ui8, 0.5 : 3>>
