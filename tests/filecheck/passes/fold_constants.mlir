// RUN: hapir opt %s --weights %S/small.safetensors -p 'fold_constants' | filecheck %s

// What depends on the input stays; what depends on parameters alone is computed.
// CHECK:      %h = nn.weight "c2.weight.value" : tensor<4x4x3x3xf32>
// CHECK-NEXT: nn.conv2d %x, %h
// CHECK-NEXT: nn.relu
// CHECK-NOT:  nn.relu
nn.network @n (%x: tensor<1x4x3x3xf32>) -> (tensor<1x4x1x1xf32>) inputs ["x"] results ["y"] {
  %w = nn.weight "c2.weight" : tensor<4x4x3x3xf32>
  %g = nn.relu %w : tensor<4x4x3x3xf32> -> tensor<4x4x3x3xf32>
  %h = nn.relu %g : tensor<4x4x3x3xf32> -> tensor<4x4x3x3xf32>
  %c = nn.conv2d %x, %h window <3x3> groups 1 layer "c" : (tensor<1x4x3x3xf32>, tensor<4x4x3x3xf32>) -> tensor<1x4x1x1xf32>
  %y = nn.relu %c : tensor<1x4x1x1xf32> -> tensor<1x4x1x1xf32>
  nn.return %y : tensor<1x4x1x1xf32>
}
