"""Train the network of `lstm_n_ary.hap` on the images of `digits.hap` and write its weights.

    pip install numpy==2.4.6 safetensors==0.8.0 scikit-learn==1.9.1 torch==2.13.0
    python spec_examples/lstm_n_ary_train.py        # about a minute on one core

Writes `lstm_n_ary.safetensors` beside itself, keys `<layer>.<suffix>`. The images and the split into training and test
images are those of `digits_train.py`; test images are never seen.

The first half trains in floats. In most steps of the second half the forward pass computes with weights that the n-ary
rule has quantized, and gradients go to the float weights as if it had not (the straight-through estimator): those are
what is written, and what the pass `n_ary` quantizes again. Same versions, same bytes, as for `digits_train.py`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from digits_train import SEED, shifted, split
from safetensors.numpy import save
from torch import nn
from torch.func import functional_call

HERE = Path(__file__).resolve().parent
UNITS, GATES = 32, 4
EPOCHS, BATCH, RATE, DECAY = 120, 32, 6e-3, 0.02
THRESHOLDS = (0.9, 1.5)
"""Each step draws its factor `t` of the innermost thresholds between these."""
FLOAT_CHANCE = 0.3
"""The share of steps of the second half that still compute with floats, so that both networks stay good."""


class DigitRows(nn.Module):
    """The network of `lstm_n_ary.hap` up to its logits; the attributes are the layers' names there."""

    def __init__(self) -> None:
        super().__init__()
        self.l1, self.n1 = nn.LSTM(8, UNITS, batch_first=True), nn.LayerNorm(UNITS)
        self.l2, self.n2 = nn.LSTM(UNITS, UNITS, batch_first=True), nn.LayerNorm(UNITS)
        self.f1 = nn.Linear(UNITS, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits [N, 10] of images [N, 1, 8, 8]."""
        first, _ = self.l1(image[:, 0])
        _, (last, _) = self.l2(self.n1(first))
        return self.f1(self.n2(last[0]))


def n_ary(w: torch.Tensor, levels: int, t: float) -> torch.Tensor:
    """The weights of one matrix as 0 or the mean of one of `levels` clusters on either side: what the pass makes."""
    quantized = torch.zeros_like(w)
    for sign in (1, -1):
        side = sign * w
        bounds = [t * side[side > 0].mean()]
        for _ in range(levels - 1):
            bounds.append(side[side >= bounds[-1]].mean())
        for low, high in zip(bounds, [*bounds[1:], torch.tensor(torch.inf)], strict=True):
            cluster = (side >= low) & (side < high)
            if cluster.any():
                quantized[cluster] = w[cluster].mean()
    return quantized


def with_quantized_weights(network: DigitRows, t: float) -> dict[str, torch.Tensor]:
    """The parameters with quantized matrices, one codebook for each gate; gradients pass straight through."""
    found = dict(network.named_parameters())
    for name, parameter in found.items():
        if name.startswith(("l1.weight", "l2.weight")):
            with torch.no_grad():
                quantized = torch.cat([n_ary(gate, 1, t) for gate in parameter.chunk(GATES)])
        elif name == "f1.weight":
            with torch.no_grad():
                quantized = n_ary(parameter, 2, 1.0)
        else:
            continue
        found[name] = parameter + (quantized - parameter).detach()
    return found


def train(images: torch.Tensor, labels: torch.Tensor, seed: int) -> DigitRows:
    """A network trained on the images."""
    torch.manual_seed(seed)
    network = DigitRows()
    generator = torch.Generator().manual_seed(seed)
    steps = EPOCHS * (len(images) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    low, high = THRESHOLDS
    for epoch in range(EPOCHS):
        order = torch.randperm(len(images), generator=generator)
        for start in range(0, len(images) - BATCH + 1, BATCH):
            batch = order[start : start + BATCH]
            t = low + (high - low) * float(torch.rand((), generator=generator))
            in_floats = epoch < EPOCHS // 2 or float(torch.rand((), generator=generator)) < FLOAT_CHANCE
            parameters = dict(network.named_parameters())
            if not in_floats:
                parameters = with_quantized_weights(network, t)
            logits = functional_call(network, parameters, (shifted(images[batch], generator),))
            loss = nn.functional.cross_entropy(logits, labels[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network


def weights_of(network: DigitRows) -> dict[str, np.ndarray]:
    """The parameters under hapir's names, f32."""
    suffixes = {
        "weight_ih_l0": "weight_input",
        "weight_hh_l0": "weight_hidden",
        "bias_ih_l0": "bias_input",
        "bias_hh_l0": "bias_hidden",
    }
    arrays: dict[str, np.ndarray] = {}
    for layer, module in network.named_children():
        norm = isinstance(module, nn.LayerNorm)
        for key, tensor in module.state_dict().items():
            suffix = {"weight": "gamma", "bias": "beta"}[key] if norm else suffixes.get(key, key)
            arrays[f"{layer}.{suffix}"] = tensor.detach().numpy()
    return dict(sorted(arrays.items()))


def main() -> None:
    """Train, write the weights and print the accuracy on the test images, in floats and quantized."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    (images, labels), (test_images, test_labels) = split(SEED)
    network = train(torch.from_numpy(images), torch.from_numpy(labels), SEED)
    (HERE / "lstm_n_ary.safetensors").write_bytes(save(weights_of(network)))
    with torch.no_grad():
        for what, parameters in (
            ("floats", dict(network.named_parameters())),
            ("t = 1", with_quantized_weights(network, 1.0)),
            ("t = 1.4", with_quantized_weights(network, 1.4)),
        ):
            logits = functional_call(network, parameters, (torch.from_numpy(test_images),))
            right = (logits.argmax(1).numpy() == test_labels).sum()
            print(f"{what}: {right} of {len(test_labels)} test images right: {right / len(test_labels):.2%}")


if __name__ == "__main__":
    main()
