"""The networks of the library have the sizes of the papers: exactly, per stage by hand, and in total as published."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from itertools import pairwise
from math import prod
from pathlib import Path

import pytest

from hapir.dialects.nn import NetworkOp, WeightOp
from hapir.dialects.num import shape_of
from hapir.registry import make_context
from hapir.report.summary import NetworkSummary, summarize
from hapir.spec import build_module, load_spec, load_spec_text
from tests.golden.network_tables import INCEPTIONS, LSTM_TIMIT, TABLES, Count, total

FOLDER = Path(__file__).resolve().parents[2] / "targets" / "networks"
NETWORKS = sorted(path.stem for path in FOLDER.glob("*.hap") if not path.stem.endswith("_blocks"))
STATISTICS = ("mean", "variance")
"""Parameters of batch norm that are not trained."""


@dataclass(frozen=True)
class Published:
    """What a source prints about a network: trainable parameters and MACs, exact or rounded (`1.81G`)."""

    parameters: str
    macs: str
    source: str


TORCHVISION = "torchvision, page of the model: num_params and GFLOPS"
HE = "He et al., CVPR 2016, table 6; MACs: no source, hand table only"
HAN = "Han et al., NIPS 2015, table 1; MACs: no source, hand table only"
PUBLISHED = {
    "alexnet": Published("61M", "724M", "Sze et al., Proc. IEEE 105(12), 2017, table II"),
    "alexnet_one_tower": Published("61100840", "0.71G", TORCHVISION),
    "densenet121": Published("7978856", "2.83G", TORCHVISION),
    "densenet40": Published("1.0M", "", "Huang et al., CVPR 2017, table 2"),
    "googlenet": Published("6998552", "", "Caffe's bvlc_googlenet without the auxiliary classifiers"),
    "googlenet_bn": Published("6624904", "1.5G", f"{TORCHVISION} (without the auxiliary classifiers)"),
    "lenet5": Published("431K", "", HAN),
    "lenet5_1998": Published("61706", "", "Keras and PyTorch tutorials; LeCun et al. 1998: about 60 000"),
    "lenet_300_100": Published("267K", "", HAN),
    "lstm_timit": Published("3.8M", "", "Graves et al., ICASSP 2013, table 1, CTC-3l-250h"),
    "mobilenet_v1": Published("4231976", "569M", "parameters: Keras; MACs: Howard et al. 2017, table 4"),
    "mobilenet_v2": Published("3504872", "0.30G", TORCHVISION),
    "resnet18": Published("11689512", "1.81G", TORCHVISION),
    "resnet34": Published("21797672", "3.66G", TORCHVISION),
    "resnet50": Published("25557032", "4.09G", TORCHVISION),
    "resnet101": Published("44549160", "7.80G", TORCHVISION),
    "resnet152": Published("60192808", "11.51G", TORCHVISION),
    "resnet20": Published("0.27M", "", HE),
    "resnet32": Published("0.46M", "", HE),
    "resnet44": Published("0.66M", "", HE),
    "resnet56": Published("0.85M", "", HE),
    "resnet110": Published("1.7M", "", HE),
    "resnet20_projected": Published("0.27M", "40.81M", "chenyaofo/pytorch-cifar-models, README, resnet20"),
    "squeezenet_1_0": Published("1248424", "0.82G", TORCHVISION),
    "squeezenet_1_1": Published("1235496", "0.35G", TORCHVISION),
    # darknet stores the statistics of 3056 channels as well: its file of 63 471 556 bytes is 4 words and the floats;
    # it counts a MAC as 2 operations: 6.97 Bn
    "tiny_yolo_v2": Published(str(63_471_556 // 4 - 4 - 2 * 3056), "3.49G", "darknet, tiny-yolo-voc"),
    "vgg16": Published("138357544", "15.47G", TORCHVISION),
    "vgg16_cifar": Published("14728266", "", "kuangliu/pytorch-cifar, VGG('VGG16')"),
}


def build(text: str) -> NetworkOp:
    """The network of the only schedule of a spec that imports from the library."""
    spec = load_spec_text(f"hap 1\n{text}", "t.hap", Path())
    (op,) = (op for op in build_module(spec, None, make_context(), weights=False).ops if isinstance(op, NetworkOp))
    return op


@cache
def library(name: str) -> NetworkOp:
    """A network of the library with the defaults of its parameters."""
    (network,) = load_spec(FOLDER / f"{name}.hap").networks
    assert network == name
    return build(f'import "networks/{name}.hap"\nschedule s of {name} {{}}')


def trained(op: NetworkOp, layers: str = "*") -> int:
    """The parameters of the layers that match a glob, without the statistics of batch norm."""
    count = 0
    for weight in op.body.block.ops:
        if isinstance(weight, WeightOp):
            layer, _, suffix = weight.key.data.rpartition(".")
            count += prod(shape_of(weight.result)) * (suffix not in STATISTICS and fnmatchcase(layer, layers))
    return count


def matching(summary: NetworkSummary, layers: str) -> int:
    """The multiply-accumulates of the layers that match a glob."""
    return sum(layer.macs for layer in summary.layers if fnmatchcase(layer.name, layers))


def prints_as(value: int, printed: str) -> bool:
    """Whether a number, rounded as `printed` is, prints so."""
    found = re.fullmatch(r"(\d+)(?:\.(\d+))?([KMG]?)", printed)
    assert found is not None
    whole, decimals, unit = found[1], found[2] or "", found[3]
    scaled = value / {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}[unit]
    return f"{scaled:.{len(decimals)}f}" == ".".join(filter(None, (whole, decimals)))


def test_every_network_is_counted():
    assert NETWORKS == sorted(TABLES) == sorted(PUBLISHED)


@pytest.mark.parametrize("name", NETWORKS)
def test_stages_by_hand(name: str):
    op, table = library(name), TABLES[name]
    summary = summarize(op)
    found = {stage: Count(trained(op, stage), matching(summary, stage)) for stage in table}
    assert found == table
    assert Count(trained(op), summary.macs) == total(table), "a layer belongs to no stage, or to two"


@pytest.mark.parametrize("name", NETWORKS)
def test_totals_as_published(name: str):
    op, published = library(name), PUBLISHED[name]
    assert prints_as(trained(op), published.parameters)
    assert not published.macs or prints_as(summarize(op).macs, published.macs)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_check_counts_statistics_too(name: str):
    """`hapir check` counts all that a weights file holds: two more numbers per channel of a batch norm."""
    summary, op = summarize(library(name)), library(name)
    normalized = sum(layer.shape[1] for layer in summary.layers if layer.op == "batch_norm")
    assert summary.parameters == trained(op) + 2 * normalized


@pytest.mark.parametrize("name", NETWORKS)
def test_the_header_tells_the_counts(name: str):
    text = " ".join(
        line.removeprefix("//").strip()
        for line in (FOLDER / f"{name}.hap").read_text(encoding="utf-8").split("hap 1\n")[0].splitlines()
    )
    summary, op = summarize(library(name)), library(name)
    for number in {trained(op), summary.parameters, summary.macs}:
        assert f"{number:,}".replace(",", " ") in text
    assert "Paper: " in text
    assert "Differs from the paper: " in text


WIDTHS = [
    # V1: table 6 of the paper. V2: TensorFlow's table, which has 1001 classes and does not count batch norms
    ("mobilenet_v1", "0.25", "0.5M", "41M"),
    ("mobilenet_v1", "0.5", "1.3M", "149M"),
    ("mobilenet_v2", "0.35", "1.66M", "59M"),
    ("mobilenet_v2", "0.75", "2.61M", "209M"),
    ("mobilenet_v2", "1.4", "6.06M", "582M"),
]


@pytest.mark.parametrize(("name", "width", "parameters", "macs"), WIDTHS)
def test_width_multipliers(name: str, width: str, parameters: str, macs: str):
    op = build(f'import "networks/{name}.hap"\nschedule s of {name}(width = {width}, classes = 1001) {{}}')
    summary = summarize(op)
    normalized = sum(layer.shape[1] for layer in summary.layers if layer.op == "batch_norm")
    assert prints_as(trained(op) - 2 * normalized, parameters)
    assert prints_as(summary.macs, macs)


def test_other_sizes_and_classes():
    op = build('import "networks/resnet18.hap"\nschedule s of resnet18(size = 64, classes = 10) {}')
    assert trained(op) == trained(library("resnet18")) - 990 * 513
    # 64 / 224 of the rows and columns, in each layer but the last
    convolutions = summarize(library("resnet18")).macs - 512 * 1000
    assert summarize(op).macs - 512 * 10 == convolutions * 64**2 // 224**2


def test_alexnet_without_groups():
    op = build('import "networks/alexnet.hap"\nschedule s of alexnet(groups = 1) {}')
    more = 256 * 48 * 25 + 384 * 192 * 9 + 256 * 192 * 9
    assert trained(op) == trained(library("alexnet")) + more == 62_378_344


def test_a_shallower_lstm():
    op = build('import "networks/lstm_timit.hap"\nschedule s of lstm_timit(layers = 1) {}')
    assert Count(trained(op, "layer1.*"), 0).parameters == LSTM_TIMIT["layer1.*"].parameters
    assert prints_as(trained(op), "0.8M")  # CTC-1l-250h in the paper's table


def test_inception_modules_widen_as_the_paper_says():
    """The inputs of each module are the outputs of the one before."""
    names = list(INCEPTIONS)
    for before, after in pairwise(names):
        _, one, _, three, _, five, pooled, _ = INCEPTIONS[before]
        assert INCEPTIONS[after][0] == one + three + five + pooled
