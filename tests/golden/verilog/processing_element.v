// Verilog-2005, written by hapir.
// Several modules share this file, so most are not named as it is.
/* verilator lint_off DECLFILENAME */
`default_nettype none

// A weight-stationary unit.
module pe (
    input  wire        clk,
    input  wire        rst,
    input  wire [7:0]  a,
    input  wire [7:0]  weight,
    input  wire        load,
    input  wire        swap,
    input  wire [31:0] psum,
    output reg  [31:0] total
);
  reg [7:0] shadow;
  reg [7:0] active;

  wire [7:0] used = swap ? shadow : active;
  wire signed [15:0] product = $signed({1'b0, a}) * $signed({used[7], used});

  always @(posedge clk) begin
    if (load) begin
      shadow <= weight;
    end
  end

  always @(posedge clk) begin
    active <= used;
    total <= psum + {{16{product[15]}}, $unsigned(product)};
  end

  wire unused_ok = &{1'b0, rst};
endmodule

module row (
    input  wire        clk,
    input  wire        rst,
    input  wire [7:0]  a,
    input  wire [15:0] weights,
    input  wire        load,
    input  wire        swap,
    output wire [19:0] sum
);
  reg [7:0] a_1;

  wire [31:0] pe_0_total;
  pe pe_0 (
      .clk(clk),
      .rst(rst),
      .a(a),
      .weight(weights[7:0]),
      .load(load),
      .swap(swap),
      .psum(32'd0),
      .total(pe_0_total)
  );
  wire [31:0] pe_1_total;
  pe pe_1 (
      .clk(clk),
      .rst(rst),
      .a(a_1),
      .weight(weights[15:8]),
      .load(load),
      .swap(swap),
      .psum(pe_0_total),
      .total(pe_1_total)
  );

  always @(posedge clk) begin
    a_1 <= a;
  end

  assign sum = pe_1_total[23:4];
  wire unused_ok = &{1'b0, pe_1_total[31:24], pe_1_total[3:0]};
endmodule

`default_nettype wire
