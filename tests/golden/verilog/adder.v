// Verilog-2005, written by hapir.
`default_nettype none

// Adds 1 to blocks of memory words, one word at a time.
module adder (
    input  wire        clk,
    input  wire        rst,
    input  wire        start,
    input  wire        mem_req_ready,
    input  wire        mem_rsp_valid,
    input  wire [31:0] mem_rsp_data,
    output wire        done,
    output wire        layer_fetch,
    output wire [31:0] cycle_count,
    output wire        mem_req_valid,
    output wire        mem_req_write,
    output wire [9:0]  mem_req_addr,
    output wire [31:0] mem_req_wdata
);
  reg [2:0] state;
  reg [9:0] address;
  reg [15:0] index;
  reg [7:0] layer;
  reg [31:0] cycles;
  reg [31:0] data;

  wire both = start & ((state == 3'd0) | (state == 3'd5));
  wire both_2 = mem_req_ready & (state == 3'd2);
  wire both_3 = mem_rsp_valid & (state == 3'd3);
  wire both_4 = mem_req_ready & (state == 3'd4);
  wire test = index == 16'd4;

  always @(posedge clk) begin
    if (rst) begin
      state <= 3'd0;
    end else if ((state == 3'd1) | both_2 | both_3 | both_4 | both) begin
      state <=
          both ? 3'd1 :
          both_4 ? (test ? ((layer == 8'd1) ? 3'd5 : 3'd1) : 3'd2) :
          both_3 ? 3'd4 :
          both_2 ? 3'd3 :
          3'd2;
    end
  end

  always @(posedge clk) begin
    if (rst) begin
      address <= 10'd0;
      index <= 16'd0;
    end else if (both_4 | both) begin
      address <= both ? 10'd0 : (address + 10'd1);
      index <= both ? 16'd0 : test ? 16'd0 : (index + 16'd1);
    end
  end

  always @(posedge clk) begin
    if (rst) begin
      layer <= 8'd0;
    end else if ((both_4 & test) | both) begin
      layer <= both ? 8'd0 : (layer + 8'd1);
    end
  end

  always @(posedge clk) begin
    if (rst) begin
      cycles <= 32'd0;
    end else if (~((state == 3'd0) | (state == 3'd5)) | both) begin
      cycles <= both ? 32'd0 : (cycles + 32'd1);
    end
  end

  always @(posedge clk) begin
    if (both_3) begin
      data <= mem_rsp_data + 32'd1;
    end
  end

  assign done = state == 3'd5;
  assign layer_fetch = state == 3'd1;
  assign cycle_count = cycles;
  assign mem_req_valid = (state == 3'd2) | (state == 3'd4);
  assign mem_req_write = state == 3'd4;
  assign mem_req_addr = (state == 3'd4) ? (address + 10'd100) : address;
  assign mem_req_wdata = data;
endmodule

`default_nettype wire
