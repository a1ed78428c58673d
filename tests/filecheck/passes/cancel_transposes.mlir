// RUN: hapir opt %s -p cancel_transposes | filecheck %s

// Between two convolutions maps lie N H W C: the region of clip, pad and add turns, as does its constant axis.
// CHECK:      nn.network @keras
// CHECK:        %a = nn.conv2d
// CHECK-NEXT:   %c = nn.clip %a from 0.0 to 6.0 layer "c" : tensor<1x4x5x6xf32> -> tensor<1x4x5x6xf32>
// CHECK-NEXT:   %p = nn.pad %c before [0, 0, 1, 0] after [0, 0, 0, 0] constant value 0.0 layer "p"
// CHECK-NEXT:   %b = nn.conv2d %p
// CHECK-NEXT:   nn.return %b

nn.network @keras (%x: tensor<1x4x5x6xf32>) -> (tensor<1x4x6x6xf32>) inputs ["x"] results ["y"] {
  %w = nn.weight "w" : tensor<4x4x1x1xf32>
  %a = nn.conv2d %x, %w window <1x1> groups 1 layer "a" : (tensor<1x4x5x6xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x5x6xf32>
  %t = nn.transpose %a axes [0, 2, 3, 1] layer "t" : tensor<1x4x5x6xf32> -> tensor<1x5x6x4xf32>
  %c = nn.clip %t from 0.0 to 6.0 layer "c" : tensor<1x5x6x4xf32> -> tensor<1x5x6x4xf32>
  %p = nn.pad %c before [0, 1, 0, 0] after [0, 0, 0, 0] constant value 0.0 layer "p" : tensor<1x5x6x4xf32> -> tensor<1x6x6x4xf32>
  %u = nn.transpose %p axes [0, 3, 1, 2] layer "u" : tensor<1x6x6x4xf32> -> tensor<1x4x6x6xf32>
  %b = nn.conv2d %u, %w window <1x1> groups 1 layer "b" : (tensor<1x4x6x6xf32>, tensor<4x4x1x1xf32>) -> tensor<1x4x6x6xf32>
  nn.return %b : tensor<1x4x6x6xf32>
}
