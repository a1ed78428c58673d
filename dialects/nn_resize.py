"""Ops of the dialect `nn` that sample a tensor at other places: resizing maps, and the general form along any axes.

Invariant: `nearest` moves elements of any type; everything else computes new values, of f32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from xdsl.dialects.builtin import ArrayAttr, Float64Type, FloatAttr, IntAttr, TensorType, UnitAttr, f32
from xdsl.dialects.utils import EnumAttribute
from xdsl.ir import Attribute, SpacedOpaqueSyntaxAttribute, SSAValue
from xdsl.irdl import irdl_attr_definition, irdl_op_definition, opt_prop_def, prop_def
from xdsl.utils.exceptions import VerifyException
from xdsl.utils.str_enum import StrEnum

from hapir.dialects import nn_layout_shapes
from hapir.dialects.assembly import Grid, Real, Reals, Sizes, integers, reals, sizes
from hapir.dialects.nn_op import (
    LayerOp,
    UnaryOp,
    activation_element,
    implied_shape,
    infer_result,
    layer_attr,
    need_float,
)
from hapir.dialects.num import element_type, shape_of


class ResizeMode(StrEnum):
    """How a map is sampled: the element at `floor(i * H / P)`; or linearly in both axes, at `(i + 1/2) * H / P - 1/2`,
    or (`bilinear_corners`) at `i * (H - 1) / (P - 1)`, so that the corners meet.
    """

    nearest = "nearest"
    bilinear = "bilinear"
    bilinear_corners = "bilinear_corners"


@irdl_attr_definition
class ResizeModeAttr(EnumAttribute[ResizeMode], SpacedOpaqueSyntaxAttribute):
    """How a map is sampled, printed as a bare word."""

    name = "nn.resize_mode"


@irdl_op_definition
class ResizeOp(UnaryOp):
    """A map N C H W sampled at so many rows and columns P x Q.

    `nearest` takes the element at `floor(i * H / P)` and keeps the element type; `bilinear` (of f32) weighs the two
    nearest rows, then the two nearest columns, at `(i + 1/2) * H / P - 1/2`, and `bilinear_corners` at
    `i * (H - 1) / (P - 1)`; places outside the map are moved to its edge.

    Example: `%y = nn.resize %x to 16 x 16 nearest : tensor<1x4x8x8xf32> -> tensor<1x4x16x16xf32>`
    """

    name = "nn.resize"
    rows = prop_def(IntAttr)
    columns = prop_def(IntAttr)
    mode = prop_def(ResizeModeAttr)
    assembly_format = (
        "$x `to` custom<Grid>($rows, $columns) $mode (`layer` $layer^)? attr-dict `:` type($x) `->` type($result)"
    )
    custom_directives = (Grid,)

    def __init__(
        self,
        x: SSAValue,
        rows: int,
        columns: int,
        *,
        mode: ResizeMode = ResizeMode.nearest,
        layer: str | None = None,
    ):
        LayerOp.__init__(
            self,
            operands=[x],
            result_types=[f32],
            properties={
                "rows": IntAttr(rows),
                "columns": IntAttr(columns),
                "mode": ResizeModeAttr(mode),
                "layer": layer_attr(layer),
            },
        )
        infer_result(self)

    def result_type(self) -> Attribute:
        if self.mode.data == ResizeMode.nearest:
            activation_element(self, self.x)
        else:
            need_float(self, self.x)
        rows, columns = self.rows.data, self.columns.data
        shape = implied_shape(lambda: nn_layout_shapes.resize(shape_of(self.x), rows, columns))
        return TensorType(element_type(self.x), shape)


class SampleMode(StrEnum):
    """What a place between elements gives: the nearest of them, or the sum of two or four with weights."""

    nearest = "nearest"
    linear = "linear"
    cubic = "cubic"


@irdl_attr_definition
class SampleModeAttr(EnumAttribute[SampleMode], SpacedOpaqueSyntaxAttribute):
    """What a place between elements gives, printed as a bare word."""

    name = "nn.sample_mode"


class Coordinates(StrEnum):
    """The place among H elements at which result i of P lies; s is the scale, L = s * H (ONNX, operator Resize).

    `half_pixel`: (i + 1/2) / s - 1/2. `half_pixel_symmetric`: the same about the centre, where P is L rounded.
    `pytorch_half_pixel`: the same, but -1/2 where L is 1. `asymmetric`: i / s. `align_corners`: i * (H - 1) / (L - 1).
    `crop`: i * (end - start) * (H - 1) / (L - 1) + start * (H - 1), of a region from start to end.
    """

    half_pixel = "half_pixel"
    half_pixel_symmetric = "half_pixel_symmetric"
    pytorch_half_pixel = "pytorch_half_pixel"
    asymmetric = "asymmetric"
    align_corners = "align_corners"
    crop = "crop"


@irdl_attr_definition
class CoordinatesAttr(EnumAttribute[Coordinates], SpacedOpaqueSyntaxAttribute):
    """Where results lie among the elements, printed as a bare word."""

    name = "nn.coordinates"


class Nearest(StrEnum):
    """Which element is nearest to a place between two: `half_down` and `half_up` say it of the middle only."""

    half_down = "half_down"
    half_up = "half_up"
    floor = "floor"
    ceil = "ceil"


@irdl_attr_definition
class NearestAttr(EnumAttribute[Nearest], SpacedOpaqueSyntaxAttribute):
    """Which element is nearest, printed as a bare word."""

    name = "nn.nearest"


@dataclass(frozen=True)
class Sampling:
    """How elements are sampled along an axis.

    `nearest` is for the mode of this name. `sharpness` is the a of cubic weights (R. Keys, Cubic convolution
    interpolation for digital image processing, 1981). `inside` leaves out the elements beyond the edge, which are those
    at the edge else, and makes the other weights add up to 1. `antialias` widens the weights where the scale is below
    1. `outside` is the value of places outside the tensor in `crop`.
    """

    mode: SampleMode = SampleMode.nearest
    coordinates: Coordinates = Coordinates.half_pixel
    nearest: Nearest = Nearest.half_down
    sharpness: float = -0.75
    inside: bool = False
    antialias: bool = False
    outside: float = 0.0


@irdl_op_definition
class ResampleOp(UnaryOp):
    """A tensor sampled along some of its axes, one after the other; each has so many results and a scale.

    The scale is the new size over the old one where none is written: sizes are rounded, scales need not be. A
    `region` has the starts of all axes, then their ends, in parts of the axis. See `Sampling` for the rest.

    Example: `%y = nn.resample %x axes [2] to [7] scales [1.75] linear at half_pixel
        : tensor<1x3x4xf32> -> tensor<1x3x7xf32>`
    """

    name = "nn.resample"
    axes = prop_def(ArrayAttr[IntAttr])
    sizes = prop_def(ArrayAttr[IntAttr])
    scales = opt_prop_def(ArrayAttr[FloatAttr[Float64Type]])
    mode = prop_def(SampleModeAttr)
    coordinates = prop_def(CoordinatesAttr)
    nearest = opt_prop_def(NearestAttr)
    sharpness = opt_prop_def(FloatAttr[Float64Type])
    inside = opt_prop_def(UnitAttr)
    antialias = opt_prop_def(UnitAttr)
    region = opt_prop_def(ArrayAttr[FloatAttr[Float64Type]])
    outside = opt_prop_def(FloatAttr[Float64Type])
    assembly_format = (
        "$x `axes` custom<Sizes>($axes) `to` custom<Sizes>($sizes) (`scales` custom<Reals>($scales)^)? $mode `at` "
        "$coordinates (`nearest` $nearest^)? (`sharpness` custom<Real>($sharpness)^)? (`inside` $inside^)? "
        "(`antialias` $antialias^)? (`region` custom<Reals>($region)^)? (`outside` custom<Real>($outside)^)? "
        "(`layer` $layer^)? attr-dict `:` type($x) `->` type($result)"
    )
    custom_directives = (Sizes, Reals, Real)

    def __init__(
        self,
        x: SSAValue,
        axes: Sequence[int],
        new_sizes: Sequence[int],
        sampling: Sampling,
        *,
        scales: Sequence[float] | None = None,
        region: Sequence[float] | None = None,
        layer: str | None = None,
    ):
        default = Sampling()
        nearest, sharpness, outside = sampling.nearest, sampling.sharpness, sampling.outside
        LayerOp.__init__(
            self,
            operands=[x],
            result_types=[f32],
            properties={
                "axes": sizes(axes),
                "sizes": sizes(new_sizes),
                "scales": None if scales is None else reals(scales),
                "mode": SampleModeAttr(sampling.mode),
                "coordinates": CoordinatesAttr(sampling.coordinates),
                "nearest": None if nearest == default.nearest else NearestAttr(nearest),
                "sharpness": None if sharpness == default.sharpness else FloatAttr(sharpness, 64),
                "inside": UnitAttr() if sampling.inside else None,
                "antialias": UnitAttr() if sampling.antialias else None,
                "region": None if region is None else reals(region),
                "outside": None if outside == default.outside else FloatAttr(outside, 64),
                "layer": layer_attr(layer),
            },
        )
        infer_result(self)

    @property
    def sampling(self) -> Sampling:
        """What the properties say."""
        default = Sampling()
        return Sampling(
            self.mode.data,
            self.coordinates.data,
            default.nearest if self.nearest is None else self.nearest.data,
            default.sharpness if self.sharpness is None else self.sharpness.value.data,
            self.inside is not None,
            self.antialias is not None,
            default.outside if self.outside is None else self.outside.value.data,
        )

    @property
    def along(self) -> list[tuple[int, int, float, tuple[float, float]]]:
        """Per axis in turn: the axis, the new size, the scale, and start and end of the region."""
        axes, new = integers(self.axes), integers(self.sizes)
        old = [shape_of(self.x)[axis] for axis in axes]
        ratios = [size / before for size, before in zip(new, old, strict=True)]
        scales = ratios if self.scales is None else [scale.value.data for scale in self.scales]
        region = [0.0] * len(axes) + [1.0] * len(axes)
        if self.region is not None:
            region = [end.value.data for end in self.region]
        ends = zip(region[: len(axes)], region[len(axes) :], strict=True)
        return list(zip(axes, new, scales, ends, strict=True))

    @property
    def keeps_items(self) -> bool:
        return 0 not in integers(self.axes)

    def result_type(self) -> Attribute:
        axes, new, sampling = integers(self.axes), integers(self.sizes), self.sampling
        shape = implied_shape(lambda: nn_layout_shapes.resample(shape_of(self.x), axes, new))
        for name, count in (("scales", len(axes)), ("region", 2 * len(axes))):
            values = self.scales if name == "scales" else self.region
            if values is not None and len(values) != count:
                raise VerifyException(f"nn.resample along {len(axes)} axes needs {count} {name}, got {len(values)}")
        if self.region is not None and sampling.coordinates != Coordinates.crop:
            raise VerifyException(f"nn.resample at {sampling.coordinates} has no region, only at crop")
        numbers = [scale for _, _, scale, _ in self.along]
        if not all(isfinite(scale) and scale > 0 for scale in numbers):
            raise VerifyException(f"the scales of nn.resample must be positive and finite, got {numbers}")
        others = [sampling.sharpness, sampling.outside, *(end for *_, ends in self.along for end in ends)]
        if not all(map(isfinite, others)):
            raise VerifyException("the numbers of nn.resample must be finite")
        if sampling.antialias and sampling.mode == SampleMode.nearest:
            raise VerifyException("nn.resample has no antialiasing of the nearest element")
        if sampling.mode == SampleMode.nearest and sampling.coordinates != Coordinates.crop:
            activation_element(self, self.x)
        else:
            need_float(self, self.x)
        return TensorType(element_type(self.x), shape)
