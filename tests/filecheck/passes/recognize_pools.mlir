// RUN: hapir opt %s -p recognize_pools | filecheck %s

// CHECK:      nn.network @pools
// CHECK-NEXT:   [[P:%.*]] = nn.global_avg_pool %x layer "m" : tensor<1x8x7x7xf32> -> tensor<1x8x1x1xf32>
// CHECK-NEXT:   %m = nn.flatten [[P]] layer "flatten" : tensor<1x8x1x1xf32> -> tensor<1x8xf32>
// CHECK-NEXT:   %w = nn.global_max_pool %x layer "w" : tensor<1x8x7x7xf32> -> tensor<1x8x1x1xf32>
// CHECK-NEXT:   nn.return %m, %w

nn.network @pools (%x: tensor<1x8x7x7xf32>) -> (tensor<1x8xf32>, tensor<1x8x1x1xf32>) inputs ["x"] results ["a", "b"] {
  %m = nn.reduce mean %x axes [2, 3] layer "m" : tensor<1x8x7x7xf32> -> tensor<1x8xf32>
  %w = nn.max_pool %x window <7x7> layer "w" : tensor<1x8x7x7xf32> -> tensor<1x8x1x1xf32>
  nn.return %m, %w : tensor<1x8xf32>, tensor<1x8x1x1xf32>
}
