// RUN: hapir opt %s -p join_paddings | filecheck %s

// CHECK:      nn.network @paddings
// CHECK:        %c = nn.conv2d %x, %w window <3x3, stride 2x2, pad 0 0 1 1> groups 1 layer "c"
// CHECK-NEXT:   %r = nn.relu %c layer "r"
// CHECK-NEXT:   %m = nn.max_pool %r window <3x3, pad 1 1 1 1> layer "m"
// CHECK-NEXT:   nn.return %m

nn.network @paddings (%x: tensor<1x2x8x8xf32>) -> (tensor<1x4x4x4xf32>) inputs ["x"] results ["y"] {
  %w = nn.weight "w" : tensor<4x2x3x3xf32>
  %p = nn.pad %x before [0, 0, 0, 0] after [0, 0, 1, 1] constant value 0.0 layer "p" : tensor<1x2x8x8xf32> -> tensor<1x2x9x9xf32>
  %c = nn.conv2d %p, %w window <3x3, stride 2x2> groups 1 layer "c" : (tensor<1x2x9x9xf32>, tensor<4x2x3x3xf32>) -> tensor<1x4x4x4xf32>
  %r = nn.relu %c layer "r" : tensor<1x4x4x4xf32> -> tensor<1x4x4x4xf32>
  %q = nn.pad %r before [0, 0, 1, 1] after [0, 0, 1, 1] constant value 0.0 layer "q" : tensor<1x4x4x4xf32> -> tensor<1x4x6x6xf32>
  %m = nn.max_pool %q window <3x3> layer "m" : tensor<1x4x6x6xf32> -> tensor<1x4x4x4xf32>
  nn.return %m : tensor<1x4x4x4xf32>
}
