// RUN: hapir opt %s -t verilog | filecheck %s

// The circuit of the printer's own description.

hw.module @inc(in %clk: i1, in %x: i8, out y: i8) {
  %one = hw.constant 1 : i8
  %r = rtl.reg "r" clock %clk : i8
  %0 = comb.add %x, %one : i8
  rtl.next %r, %0 : i8, i8
  hw.output %r : i8
}

// CHECK:      module inc (
// CHECK-NEXT:     input  wire       clk,
// CHECK-NEXT:     input  wire [7:0] x,
// CHECK-NEXT:     output wire [7:0] y
// CHECK-NEXT: );
// CHECK-NEXT:   reg [7:0] r;
// CHECK:        always @(posedge clk) begin
// CHECK-NEXT:     r <= x + 8'd1;
// CHECK-NEXT:   end
// CHECK:        assign y = r;
// CHECK-NEXT: endmodule
