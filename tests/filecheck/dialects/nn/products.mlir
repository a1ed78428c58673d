// RUN: hapir opt %s | filecheck %s
// RUN: hapir opt %s | hapir opt | filecheck %s
// RUN: hapir opt %s --print-op-generic | hapir opt | filecheck %s

// Convolutions along sequences and backwards, products of activations, pools of sequences, recurrent layers.

nn.network @floats (%x: tensor<1x4x16xf32>, %m: tensor<1x4x5x5xf32>, %k: tensor<1x4x3xf32>) -> () inputs ["x", "m", "k"] results [] {
  %w = nn.weight "w" : tensor<8x2x3xf32>
  %b = nn.weight "b" : tensor<8xf32>
  %c = nn.conv1d %x, %w bias %b window <1x3, stride 1x2, pad 0 1 0 0, dilation 1x2> groups 2 layer "c" : (tensor<1x4x16xf32>, tensor<8x2x3xf32>, tensor<8xf32>) -> tensor<1x8x7xf32>
  %d = nn.max_pool %c window <1x2, stride 1x2, pad 0 1 0 0> layer "d" : tensor<1x8x7xf32> -> tensor<1x8x4xf32>
  %e = nn.avg_pool %d window <1x2> count_include_pad false : tensor<1x8x4xf32> -> tensor<1x8x3xf32>
  %g = nn.global_avg_pool %e : tensor<1x8x3xf32> -> tensor<1x8x1xf32>
  %h = nn.global_max_pool %e : tensor<1x8x3xf32> -> tensor<1x8x1xf32>
  %v = nn.weight "v" : tensor<4x3x2x3xf32>
  %vb = nn.weight "vb" : tensor<6xf32>
  %t = nn.transposed_conv2d %m, %v bias %vb window <2x3, stride 2x2, pad 0 1 0 1> extra [1, 0] groups 2 layer "t" : (tensor<1x4x5x5xf32>, tensor<4x3x2x3xf32>, tensor<6xf32>) -> tensor<1x6x11x9xf32>
  %t2 = nn.transposed_conv2d %m, %v window <2x3> extra [0, 0] groups 1 : (tensor<1x4x5x5xf32>, tensor<4x3x2x3xf32>) -> tensor<1x3x6x7xf32>
  %mm = nn.matmul %d, %k layer "mm" : (tensor<1x8x4xf32>, tensor<1x4x3xf32>) -> tensor<1x8x3xf32>
  nn.return
}

// CHECK:      nn.network @floats (%x: tensor<1x4x16xf32>, %m: tensor<1x4x5x5xf32>, %k: tensor<1x4x3xf32>) -> () inputs ["x", "m", "k"] results [] {
// CHECK-NEXT:   %w = nn.weight "w" : tensor<8x2x3xf32>
// CHECK-NEXT:   %b = nn.weight "b" : tensor<8xf32>
// CHECK-NEXT:   %c = nn.conv1d %x, %w bias %b window <1x3, stride 1x2, pad 0 1 0 0, dilation 1x2> groups 2 layer "c" : (tensor<1x4x16xf32>, tensor<8x2x3xf32>, tensor<8xf32>) -> tensor<1x8x7xf32>
// CHECK-NEXT:   %d = nn.max_pool %c window <1x2, stride 1x2, pad 0 1 0 0> layer "d" : tensor<1x8x7xf32> -> tensor<1x8x4xf32>
// CHECK-NEXT:   %e = nn.avg_pool %d window <1x2> count_include_pad false : tensor<1x8x4xf32> -> tensor<1x8x3xf32>
// CHECK-NEXT:   %g = nn.global_avg_pool %e : tensor<1x8x3xf32> -> tensor<1x8x1xf32>
// CHECK-NEXT:   %h = nn.global_max_pool %e : tensor<1x8x3xf32> -> tensor<1x8x1xf32>
// CHECK-NEXT:   %v = nn.weight "v" : tensor<4x3x2x3xf32>
// CHECK-NEXT:   %vb = nn.weight "vb" : tensor<6xf32>
// CHECK-NEXT:   %t = nn.transposed_conv2d %m, %v bias %vb window <2x3, stride 2x2, pad 0 1 0 1> extra [1, 0] groups 2 layer "t" : (tensor<1x4x5x5xf32>, tensor<4x3x2x3xf32>, tensor<6xf32>) -> tensor<1x6x11x9xf32>
// CHECK-NEXT:   %t2 = nn.transposed_conv2d %m, %v window <2x3> extra [0, 0] groups 1 : (tensor<1x4x5x5xf32>, tensor<4x3x2x3xf32>) -> tensor<1x3x6x7xf32>
// CHECK-NEXT:   %mm = nn.matmul %d, %k layer "mm" : (tensor<1x8x4xf32>, tensor<1x4x3xf32>) -> tensor<1x8x3xf32>
// CHECK-NEXT:   nn.return
// CHECK-NEXT: }

nn.network @recurrent (%x: tensor<1x6x4xf32>) -> () inputs ["x"] results [] {
  %wi = nn.weight "wi" : tensor<12x4xf32>
  %wh = nn.weight "wh" : tensor<12x3xf32>
  %b = nn.weight "b" : tensor<12xf32>
  %wh4 = nn.weight "wh4" : tensor<12x4xf32>
  %y, %h, %c = nn.lstm %x, %wi, %wh bias %b, %b reverse false layer "l" : (tensor<1x6x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>, tensor<12xf32>, tensor<12xf32>) -> (tensor<1x6x3xf32>, tensor<1x3xf32>, tensor<1x3xf32>)
  %y2, %h2 = nn.gru %x, %wi, %wh4 reverse true layer "g" : (tensor<1x6x4xf32>, tensor<12x4xf32>, tensor<12x4xf32>) -> (tensor<1x6x4xf32>, tensor<1x4xf32>)
  nn.return
}

// CHECK:      nn.network @recurrent (%x: tensor<1x6x4xf32>) -> () inputs ["x"] results [] {
// CHECK-NEXT:   %wi = nn.weight "wi" : tensor<12x4xf32>
// CHECK-NEXT:   %wh = nn.weight "wh" : tensor<12x3xf32>
// CHECK-NEXT:   %b = nn.weight "b" : tensor<12xf32>
// CHECK-NEXT:   %wh4 = nn.weight "wh4" : tensor<12x4xf32>
// CHECK-NEXT:   %y, %h, %c = nn.lstm %x, %wi, %wh bias %b, %b reverse false layer "l" : (tensor<1x6x4xf32>, tensor<12x4xf32>, tensor<12x3xf32>, tensor<12xf32>, tensor<12xf32>) -> (tensor<1x6x3xf32>, tensor<1x3xf32>, tensor<1x3xf32>)
// CHECK-NEXT:   %y2, %h2 = nn.gru %x, %wi, %wh4 reverse true layer "g" : (tensor<1x6x4xf32>, tensor<12x4xf32>, tensor<12x4xf32>) -> (tensor<1x6x4xf32>, tensor<1x4xf32>)
// CHECK-NEXT:   nn.return
// CHECK-NEXT: }

nn.network @integers (%x: tensor<1x4x16x!num.affine<ui8, 0.5 : 3>>) -> () inputs ["x"] results [] {
  %w = nn.weight "w" : tensor<2x4x3x!num.per_channel<si8, 0, "w.scale">>
  %c = nn.conv1d %x, %w window <1x3> groups 1 : (tensor<1x4x16x!num.affine<ui8, 0.5 : 3>>, tensor<2x4x3x!num.per_channel<si8, 0, "w.scale">>) -> tensor<1x2x14xsi32>
  %p = nn.sum_pool %x window <1x16> : tensor<1x4x16x!num.affine<ui8, 0.5 : 3>> -> tensor<1x4x1xsi32>
  nn.return
}

// CHECK:      nn.network @integers (%x: tensor<1x4x16x!num.affine<ui8, 0.5 : 3>>) -> () inputs ["x"] results [] {
// CHECK-NEXT:   %w = nn.weight "w" : tensor<2x4x3x!num.per_channel<si8, 0, "w.scale">>
// CHECK-NEXT:   %c = nn.conv1d %x, %w window <1x3> groups 1 : (tensor<1x4x16x!num.affine<ui8, 0.5 : 3>>, tensor<2x4x3x!num.per_channel<si8, 0, "w.scale">>) -> tensor<1x2x14xsi32>
// CHECK-NEXT:   %p = nn.sum_pool %x window <1x16> : tensor<1x4x16x!num.affine<ui8, 0.5 : 3>> -> tensor<1x4x1xsi32>
// CHECK-NEXT:   nn.return
// CHECK-NEXT: }
