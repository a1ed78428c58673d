// RUN: hapir opt %s | filecheck %s
// RUN: hapir opt %s | hapir opt | filecheck %s
// RUN: hapir opt %s --print-op-generic | hapir opt | filecheck %s

// Every op of dataflow in its custom syntax.

nn.network @fused (%x: tensor<1x4xf32>) -> (tensor<1x4xf32>, tensor<1x4xf32>) inputs ["x"] results ["y", "z"] {
  %y, %z = dataflow.layer "c1" (%a = %x : tensor<1x4xf32>, %b = %x : tensor<1x4xf32>) -> (tensor<1x4xf32>, tensor<1x4xf32>) {
    %r = nn.relu %a layer "r1" : tensor<1x4xf32> -> tensor<1x4xf32>
    dataflow.yield %r, %b : tensor<1x4xf32>, tensor<1x4xf32>
  }
  nn.return %y, %z : tensor<1x4xf32>, tensor<1x4xf32>
}
dataflow.schedule @on_tiny network @fused machine @tiny dataflow "weight_stationary" {
  dataflow.map "c1" {
    dataflow.level "dram" loops [#dataflow.loop<K : 2>, #dataflow.loop<C : 1>] rows [] columns [] bypass ["output"]
    dataflow.level "pe" loops [] rows ["C", "R", "S"] columns ["K"] bypass []
  }
  dataflow.map "c2" {}
}
dataflow.schedule @plain network @fused machine @tiny dataflow "weight_stationary" {}

// CHECK:      %y, %z = dataflow.layer "c1" (%a = %x : tensor<1x4xf32>, %b = %x : tensor<1x4xf32>) -> (tensor<1x4xf32>, tensor<1x4xf32>) {
// CHECK-NEXT:   %r = nn.relu %a layer "r1" : tensor<1x4xf32> -> tensor<1x4xf32>
// CHECK-NEXT:   dataflow.yield %r, %b : tensor<1x4xf32>, tensor<1x4xf32>
// CHECK-NEXT: }
// CHECK:      dataflow.schedule @on_tiny network @fused machine @tiny dataflow "weight_stationary" {
// CHECK-NEXT:   dataflow.map "c1" {
// CHECK-NEXT:     dataflow.level "dram" loops [#dataflow.loop<K : 2>, #dataflow.loop<C : 1>] rows [] columns [] bypass ["output"]
// CHECK-NEXT:     dataflow.level "pe" loops [] rows ["C", "R", "S"] columns ["K"] bypass []
// CHECK-NEXT:   }
// CHECK-NEXT:   dataflow.map "c2" {}
// CHECK-NEXT: }
// CHECK-NEXT: dataflow.schedule @plain network @fused machine @tiny dataflow "weight_stationary" {}
