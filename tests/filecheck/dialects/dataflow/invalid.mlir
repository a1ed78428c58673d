// RUN: hapir opt %s --split-input-file --verify-diagnostics

// Every way in which the verifiers of dataflow refuse.


dataflow.schedule @s network @n machine @m dataflow "weight_stationary" {
  dataflow.map "c1" {
    // expected-error@+1 {{a loop dimension is one of N, K, C, P, Q, R, S, G, not H}}
    dataflow.level "pe" loops [#dataflow.loop<H : 2>] rows [] columns [] bypass []
  }
}

// -----

dataflow.schedule @s network @n machine @m dataflow "weight_stationary" {
  dataflow.map "c1" {
    // expected-error@+1 {{the factor of K must be at least 1, got 0}}
    dataflow.level "pe" loops [#dataflow.loop<K : 0>] rows [] columns [] bypass []
  }
}

// -----

dataflow.schedule @s network @n machine @m dataflow "weight_stationary" {
  dataflow.map "c1" {
    // expected-error@+1 {{a spatial dimension is one of N, K, C, P, Q, R, S, G, not X}}
    dataflow.level "pe" loops [] rows ["C", "X"] columns [] bypass []
  }
}

// -----

dataflow.schedule @s network @n machine @m dataflow "weight_stationary" {
  dataflow.map "c1" {
    // expected-error@+1 {{a spatial dimension is one of N, K, C, P, Q, R, S, G, not Y}}
    dataflow.level "pe" loops [] rows ["C"] columns ["Y"] bypass []
  }
}

// -----

dataflow.schedule @s network @n machine @m dataflow "weight_stationary" {
  dataflow.map "c1" {
    // expected-error@+1 {{only input, weight, output can bypass a level, not psum}}
    dataflow.level "pe" loops [] rows [] columns [] bypass ["psum"]
  }
}

// -----

// expected-error@+1 {{'dataflow.level' expects parent op 'dataflow.map'}}
dataflow.level "pe" loops [] rows [] columns [] bypass []

// -----

// expected-error@+1 {{'dataflow.map' expects parent op 'dataflow.schedule'}}
dataflow.map "c1" {}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{'dataflow.yield' expects parent op 'dataflow.layer'}}
  dataflow.yield %x : tensor<1x4xf32>
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{the region's arguments differ from the operands}}
  %y = "dataflow.layer"(%x) <{layer = "c1"}> ({
  ^bb0(%a: tensor<1x5xf32>):
    dataflow.yield %a : tensor<1x5xf32>
  }) : (tensor<1x4xf32>) -> tensor<1x5xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{a layer ends with dataflow.yield}}
  %y = "dataflow.layer"(%x) <{layer = "c1"}> ({
  ^bb0(%a: tensor<1x4xf32>):
    "test.termop"(%a) : (tensor<1x4xf32>) -> ()
  }) : (tensor<1x4xf32>) -> tensor<1x4xf32>
  nn.return
}

// -----

nn.network @n (%x: tensor<1x4xf32>) -> () inputs ["x"] results [] {
  // expected-error@+1 {{the yielded values differ from the results}}
  %y = dataflow.layer "c1" (%a = %x : tensor<1x4xf32>) -> (tensor<1x5xf32>) {
    dataflow.yield %a : tensor<1x4xf32>
  }
  nn.return
}
