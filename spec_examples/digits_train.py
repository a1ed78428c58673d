"""Train the network of `digits.hap` and write the three files that the digits specs read.

    pip install numpy==2.4.6 safetensors==0.8.0 scikit-learn==1.9.1 torch==2.13.0
    python spec_examples/digits_train.py            # about a minute on one core

Writes beside itself
    digits.safetensors   the weights, keys `<layer>.<suffix>` as `digits.hap` names its layers
    digits_calib.npz     128 training images with labels, from which `quantize` learns the ranges of activations
    digits_test.npz      540 images with labels that the training never sees
Images are `image` f32 [N, 1, 8, 8] in 0..1, labels are `label` int64 [N].

The data are the 1797 images that scikit-learn ships (`sklearn.datasets.load_digits`; E. Alpaydin and C. Kaynak,
"Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998, doi:10.24432/C50P49, CC BY 4.0):
handwritten digits of 8x8 pixels, each a count 0..16. They are part of the package, nothing is downloaded.

The committed files were made by the versions above under Python 3.11 on x86-64 Linux. There the script gives the same
bytes at every run: one thread, one seed, deterministic kernels. Another version or processor may add floats in another
order and so give another, equally good network. The constants below were chosen on 257 images held out of the training
images, never on the test images. hapir needs none of what this script imports besides numpy and
safetensors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save
from sklearn.datasets import load_digits
from torch import nn
from torch.func import functional_call

HERE = Path(__file__).resolve().parent
SEED = 1
TEST_IMAGES, CALIBRATION_IMAGES = 540, 128
EPOCHS, BATCH, RATE, DECAY = 80, 32, 4e-3, 0.05
SMALL_WEIGHTS, WEIGHT_CHANCE = 0.6, 0.8
SMALL_FILTERS, FILTER_CHANCE = 0.25, 0.5


class Digits(nn.Module):
    """The network of `digits.hap` up to its logits; the attributes are the layers' names there."""

    def __init__(self) -> None:
        super().__init__()
        # batch norm follows each convolution and takes over its bias
        self.c1, self.n1 = nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.c2, self.n2 = nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)
        self.c3, self.n3 = nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)
        self.f1 = nn.Linear(128, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits [N, 10] of images [N, 1, 8, 8]."""
        x = torch.relu(self.n1(self.c1(image)))
        x = torch.max_pool2d(torch.relu(self.n2(self.c2(x))), 2)
        x = torch.max_pool2d(torch.relu(self.n3(self.c3(x))), 2)
        return self.f1(torch.flatten(x, 1))


def split(seed: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """(images, labels) to train on and to test on, drawn without overlap."""
    data = load_digits()
    images = (data.images / 16).astype(np.float32)[:, None]
    labels = data.target.astype(np.int64)
    order = np.random.default_rng(seed).permutation(len(images))
    test, train = order[:TEST_IMAGES], order[TEST_IMAGES:]
    return (images[train], labels[train]), (images[test], labels[test])


def shifted(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each image moved by -1, 0 or 1 pixel in both directions; the border comes in as paper."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    rows, columns = torch.randint(0, 3, (2, len(images)), generator=generator)
    return torch.stack(
        [image[:, r : r + 8, c : c + 8] for image, r, c in zip(padded, rows.tolist(), columns.tolist(), strict=True)]
    )


def without_the_small(network: Digits, chance: float, generator: torch.Generator) -> dict[str, torch.Tensor]:
    """The parameters with the smallest weights and filters of each convolution set to zero at random.

    This is targeted dropout (A. N. Gomez et al., "Learning Sparse Networks Using Targeted Dropout", 2019,
    arXiv:1905.13678): the network learns not to lean on what magnitude pruning will take. Magnitudes are those after
    batch norm is folded in, as the pass `prune` sees them. `chance` 0..1 scales both probabilities.
    """
    parameters = dict(network.named_parameters())
    for i in (1, 2, 3):
        conv, norm = getattr(network, f"c{i}"), getattr(network, f"n{i}")
        with torch.no_grad():
            gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            size = (conv.weight * gain[:, None, None, None]).abs()
            norms = size.square().sum((1, 2, 3))
            dropped = torch.rand(size.shape, generator=generator) < WEIGHT_CHANCE * chance
            kept = ~(dropped & (size <= size.flatten().quantile(SMALL_WEIGHTS)))
            dropped = torch.rand(norms.shape, generator=generator) < FILTER_CHANCE * chance
            kept_filters = ~(dropped & (norms <= norms.quantile(SMALL_FILTERS)))
        parameters[f"c{i}.weight"] = conv.weight * kept
        parameters[f"n{i}.weight"] = norm.weight * kept_filters
        parameters[f"n{i}.bias"] = norm.bias * kept_filters
    return parameters


def train(images: torch.Tensor, labels: torch.Tensor, seed: int) -> Digits:
    """A network trained on the images, in inference mode."""
    torch.manual_seed(seed)
    network = Digits()
    generator = torch.Generator().manual_seed(seed)
    steps = EPOCHS * (len(images) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(EPOCHS):
        chance = min(1.0, epoch / (EPOCHS / 2))
        order = torch.randperm(len(images), generator=generator)
        for start in range(0, len(images) - BATCH + 1, BATCH):  # a small last batch would upset batch norm
            batch = order[start : start + BATCH]
            parameters = without_the_small(network, chance, generator)
            logits = functional_call(network, parameters, (shifted(images[batch], generator),))
            loss = nn.functional.cross_entropy(logits, labels[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def weights_of(network: Digits) -> dict[str, np.ndarray]:
    """The parameters under hapir's names, f32."""
    suffixes = {"BatchNorm2d": {"weight": "gamma", "bias": "beta", "running_mean": "mean", "running_var": "variance"}}
    arrays: dict[str, np.ndarray] = {}
    for layer, module in network.named_children():
        names = suffixes.get(type(module).__name__, {"weight": "weight", "bias": "bias"})
        for key, tensor in module.state_dict().items():
            if key in names:
                arrays[f"{layer}.{names[key]}"] = tensor.detach().numpy()
    return dict(sorted(arrays.items()))


def main() -> None:
    """Train, write the three files and print the accuracy on the test images."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    (images, labels), (test_images, test_labels) = split(SEED)
    network = train(torch.from_numpy(images), torch.from_numpy(labels), SEED)

    (HERE / "digits.safetensors").write_bytes(save(weights_of(network)))
    # numpy stamps the entries of an .npz with a fixed date and stores them plain: equal arrays give equal files
    np.savez(HERE / "digits_calib.npz", image=images[:CALIBRATION_IMAGES], label=labels[:CALIBRATION_IMAGES])
    np.savez(HERE / "digits_test.npz", image=test_images, label=test_labels)

    with torch.no_grad():
        right = (network(torch.from_numpy(test_images)).argmax(1).numpy() == test_labels).sum()
    print(f"{right} of {len(test_labels)} test images right: {right / len(test_labels):.2%}")


if __name__ == "__main__":
    main()
