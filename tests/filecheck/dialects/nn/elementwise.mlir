// RUN: hapir opt %s | filecheck %s
// RUN: hapir opt %s | hapir opt | filecheck %s
// RUN: hapir opt %s --print-op-generic | hapir opt | filecheck %s

// The elementwise ops and norms beside those of ops.mlir.

nn.network @activations (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  %a = nn.sigmoid %x layer "a" : tensor<1x4xf32> -> tensor<1x4xf32>
  %b = nn.tanh %a layer "b" : tensor<1x4xf32> -> tensor<1x4xf32>
  %c = nn.hard_swish %b : tensor<1x4xf32> -> tensor<1x4xf32>
  %d = nn.silu %c layer "d" : tensor<1x4xf32> -> tensor<1x4xf32>
  %e = nn.gelu %d : tensor<1x4xf32> -> tensor<1x4xf32>
  %f = nn.leaky_relu %e slope 0.1 layer "f" : tensor<1x4xf32> -> tensor<1x4xf32>
  %g = nn.hard_sigmoid %f slope 0.2 offset 0.5 layer "g" : tensor<1x4xf32> -> tensor<1x4xf32>
  %h = nn.sub %f, %g layer "h" : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32>
  %i = nn.mul %h, %a : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32>
  %j = nn.sign %i layer "j" : tensor<1x4xf32> -> tensor<1x4xf32>
  nn.return
}

// CHECK:      nn.network @activations (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
// CHECK-NEXT:   %a = nn.sigmoid %x layer "a" : tensor<1x4xf32> -> tensor<1x4xf32>
// CHECK-NEXT:   %b = nn.tanh %a layer "b" : tensor<1x4xf32> -> tensor<1x4xf32>
// CHECK-NEXT:   %c = nn.hard_swish %b : tensor<1x4xf32> -> tensor<1x4xf32>
// CHECK-NEXT:   %d = nn.silu %c layer "d" : tensor<1x4xf32> -> tensor<1x4xf32>
// CHECK-NEXT:   %e = nn.gelu %d : tensor<1x4xf32> -> tensor<1x4xf32>
// CHECK-NEXT:   %f = nn.leaky_relu %e slope 0.1 layer "f" : tensor<1x4xf32> -> tensor<1x4xf32>
// CHECK-NEXT:   %g = nn.hard_sigmoid %f slope 0.2 offset 0.5 layer "g" : tensor<1x4xf32> -> tensor<1x4xf32>
// CHECK-NEXT:   %h = nn.sub %f, %g layer "h" : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32>
// CHECK-NEXT:   %i = nn.mul %h, %a : (tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<1x4xf32>
// CHECK-NEXT:   %j = nn.sign %i layer "j" : tensor<1x4xf32> -> tensor<1x4xf32>
// CHECK-NEXT:   nn.return
// CHECK-NEXT: }

nn.network @scaled (%x: tensor<1x4x8x8xf32>, %s: tensor<1x4x1x1xf32>) -> () inputs ["x", "s"] results [] {
  %y = nn.mul %x, %s layer "y" : (tensor<1x4x8x8xf32>, tensor<1x4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %z = nn.sub %s, %y : (tensor<1x4x1x1xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  nn.return
}

// CHECK:      nn.network @scaled (%x: tensor<1x4x8x8xf32>, %s: tensor<1x4x1x1xf32>) -> () inputs ["x", "s"] results [] {
// CHECK-NEXT:   %y = nn.mul %x, %s layer "y" : (tensor<1x4x8x8xf32>, tensor<1x4x1x1xf32>) -> tensor<1x4x8x8xf32>
// CHECK-NEXT:   %z = nn.sub %s, %y : (tensor<1x4x1x1xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
// CHECK-NEXT:   nn.return
// CHECK-NEXT: }

nn.network @norms (%x: tensor<1x4x8x8xf32>, %t: tensor<1x6x16xf32>) -> () inputs ["x", "t"] results [] {
  %g = nn.weight "g" : tensor<6x16xf32>
  %n = nn.layer_norm %t, %g, %g axis 1 epsilon 1.0e-05 layer "n" : (tensor<1x6x16xf32>, tensor<6x16xf32>, tensor<6x16xf32>) -> tensor<1x6x16xf32>
  %l = nn.local_response_norm %x size 5 alpha 0.0001 beta 0.75 bias 2.0 layer "l" : tensor<1x4x8x8xf32> -> tensor<1x4x8x8xf32>
  nn.return
}

// CHECK:      nn.network @norms (%x: tensor<1x4x8x8xf32>, %t: tensor<1x6x16xf32>) -> () inputs ["x", "t"] results [] {
// CHECK-NEXT:   %g = nn.weight "g" : tensor<6x16xf32>
// CHECK-NEXT:   %n = nn.layer_norm %t, %g, %g axis 1 epsilon 1.0e-05 layer "n" : (tensor<1x6x16xf32>, tensor<6x16xf32>, tensor<6x16xf32>) -> tensor<1x6x16xf32>
// CHECK-NEXT:   %l = nn.local_response_norm %x size 5 alpha 0.0001 beta 0.75 bias 2.0 layer "l" : tensor<1x4x8x8xf32> -> tensor<1x4x8x8xf32>
// CHECK-NEXT:   nn.return
// CHECK-NEXT: }
