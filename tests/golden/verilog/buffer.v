// Verilog-2005, written by hapir.
`default_nettype none

// A ring of sixteen words.
module buffer (
    input  wire        clk,
    input  wire        rst,
    input  wire [31:0] data,
    input  wire [3:0]  mask,
    input  wire        write,
    input  wire        step,
    output wire [31:0] word,
    output wire        last
);
  reg [3:0] place;
  reg [31:0] ring [0:15];  // 16 words
  reg [31:0] word_2;
  reg [95:0] late_line;  // 3 cycles
  wire [31:0] late = late_line[95:64];

  reg [31:0] factors;  // table of 4 words
  always @(*) begin
    case (place[1:0])
      2'd0: factors = 32'h3;
      2'd2: factors = 32'h12345678;
      2'd3: factors = 32'h7;
      default: factors = 32'h0;
    endcase
  end

  always @(posedge clk) begin
    if (rst) begin
      place <= 4'd0;
    end else if (step) begin
      place <= place + 4'd1;
    end
  end

  always @(posedge clk) begin
    late_line <= {late_line[63:0], word_2};
  end

  integer lane;
  always @(posedge clk) begin
    if (write) begin
      for (lane = 0; lane < 4; lane = lane + 1) begin
        if (mask[lane]) ring[place][lane * 8 +: 8] <= data[lane * 8 +: 8];
      end
    end
    word_2 <= ring[place];
  end

  assign word = late ^ factors;
  assign last = place == 4'd15;
endmodule

`default_nettype wire
