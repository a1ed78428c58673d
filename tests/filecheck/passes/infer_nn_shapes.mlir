// RUN: hapir opt %s -p infer_nn_shapes | filecheck %s

// What is right stays as it is, inside layers too.
// CHECK:      %r = nn.relu %x layer "r1" : tensor<1x4xf32> -> tensor<1x4xf32>
// CHECK-NEXT: %y = dataflow.layer "k1" (%a = %r : tensor<1x4xf32>) -> (tensor<1x4xf32>) {
// CHECK-NEXT: nn.clip %a from 0.0 to 6.0 layer "k1" : tensor<1x4xf32> -> tensor<1x4xf32>
nn.network @right (%x: tensor<1x4xf32>) -> (tensor<1x4xf32>) inputs ["x"] results ["y"] {
  %r = nn.relu %x layer "r1" : tensor<1x4xf32> -> tensor<1x4xf32>
  %y = dataflow.layer "k1" (%a = %r : tensor<1x4xf32>) -> (tensor<1x4xf32>) {
    %k = nn.clip %a from 0.0 to 6.0 layer "k1" : tensor<1x4xf32> -> tensor<1x4xf32>
    dataflow.yield %k : tensor<1x4xf32>
  }
  nn.return %y : tensor<1x4xf32>
}
