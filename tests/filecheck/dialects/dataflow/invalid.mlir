// RUN: hapir opt %s --verify-diagnostics --parsing-diagnostics --split-input-file | filecheck %s

// Every way in which the verifiers of dataflow refuse.


// CHECK: a loop dimension is one of N, K, C, P, Q, R, S, G, not H
dataflow.schedule @s network @n machine @m dataflow "weight_stationary" {
  dataflow.map "c1" {
    dataflow.level "pe" loops [#dataflow.loop<H : 2>] rows [] columns [] bypass []
  }
}

// -----

// CHECK: the factor of K must be at least 1, got 0
dataflow.schedule @s network @n machine @m dataflow "weight_stationary" {
  dataflow.map "c1" {
    dataflow.level "pe" loops [#dataflow.loop<K : 0>] rows [] columns [] bypass []
  }
}

// -----

// CHECK: a spatial dimension is one of N, K, C, P, Q, R, S, G, not X
dataflow.schedule @s network @n machine @m dataflow "weight_stationary" {
  dataflow.map "c1" {
    dataflow.level "pe" loops [] rows ["C", "X"] columns [] bypass []
  }
}

// -----

// CHECK: a spatial dimension is one of N, K, C, P, Q, R, S, G, not Y
dataflow.schedule @s network @n machine @m dataflow "weight_stationary" {
  dataflow.map "c1" {
    dataflow.level "pe" loops [] rows ["C"] columns ["Y"] bypass []
  }
}

// -----

// CHECK: only input, weight, output can bypass a level, not psum
dataflow.schedule @s network @n machine @m dataflow "weight_stationary" {
  dataflow.map "c1" {
    dataflow.level "pe" loops [] rows [] columns [] bypass ["psum"]
  }
}

// -----

// CHECK: 'dataflow.level' expects parent op 'dataflow.map'
dataflow.level "pe" loops [] rows [] columns [] bypass []

// -----

// CHECK: 'dataflow.map' expects parent op 'dataflow.schedule'
dataflow.map "c1" {}

// -----

// CHECK: 'dataflow.yield' expects parent op 'dataflow.layer'
nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  dataflow.yield %x : tensor<1x4xf32>
}

// -----

// CHECK: the region's arguments differ from the operands
nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  %y = "dataflow.layer"(%x) <{layer = "c1"}> ({
  ^bb0(%a: tensor<1x5xf32>):
    dataflow.yield %a : tensor<1x5xf32>
  }) : (tensor<1x4xf32>) -> tensor<1x5xf32>
  nn.return
}

// -----

// CHECK: a layer ends with dataflow.yield
nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  %y = "dataflow.layer"(%x) <{layer = "c1"}> ({
  ^bb0(%a: tensor<1x4xf32>):
    "test.termop"(%a) : (tensor<1x4xf32>) -> ()
  }) : (tensor<1x4xf32>) -> tensor<1x4xf32>
  nn.return
}

// -----

// CHECK: the yielded values differ from the results
nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  %y = dataflow.layer "c1" (%a = %x : tensor<1x4xf32>) -> (tensor<1x5xf32>) {
    dataflow.yield %a : tensor<1x4xf32>
  }
  nn.return
}
