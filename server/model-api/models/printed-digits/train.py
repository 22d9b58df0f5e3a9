#!/usr/bin/env python3
"""Trains `printed-digits`, the small network that `fed-bbpt model-api` embeds.

It learns the ten digits from *printed* upright typefaces only: dark ink on
light paper. It sees no handwriting, no italic, no script typeface. Whether it
can read handwriting is measured (`--evaluate`), never trained or selected for.

Needs (Debian 12 names; one processor core is enough, about six minutes):

    python3-torch python3-numpy python3-pil
    fonts-dejavu-core fonts-dejavu-extra fonts-liberation fonts-freefont-ttf
    fonts-noto-core fonts-urw-base35 fonts-lato fonts-open-sans
    fonts-roboto-unhinted
    the Python packages `onnx` (to write the model) and, for `--check`,
    `onnxruntime`

Writes into `--out`:

    printed-digits.onnx   image float32 [B,3,32,32] in [0,1] -> logits [B,10]
    labels.txt            the ten labels, one a line
    basis.json            PCA basis of the public printed glyphs (see `fit_basis`)

The same seed, fonts, library versions and thread count give the same network.
"""

import argparse
import csv
import glob
import gzip
import json
import math
import os
import re
import time

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import nn

# Upright Latin text faces, chosen by file name so that nothing else that
# happens to be installed (scripts, symbols, other alphabets) slips in.
PRINTED = re.compile(
    r"^(DejaVuSans|DejaVuSansMono|DejaVuSansCondensed|DejaVuSerif|DejaVuSerifCondensed"
    r"|LiberationSans|LiberationSansNarrow|LiberationSerif|LiberationMono"
    r"|FreeSans|FreeSerif|FreeMono"
    r"|C059|NimbusRoman|NimbusSans|NimbusSansNarrow|NimbusMonoPS|P052|URWBookman|URWGothic"
    r"|Lato|OpenSans|Roboto|RobotoCondensed"
    r"|NotoSans|NotoSansDisplay|NotoSansMono|NotoSerif|NotoSerifDisplay)"
    r"(-(Thin|Hairline|ExtraLight|Light|Regular|Roman|Book|Medium|Demi|Semibold|SemiBold|Bold"
    r"|Heavy|ExtraBold|Black|Condensed|CondensedBold|CondensedLight|CondLight|CondBold"
    r"|Condensed-Bold|Narrow|NarrowBold))?\.(ttf|otf)$"
)
CANVAS = 64  # glyphs are kept at 64x64, the tallest 44 pixels high
GLYPH = 44


# ---------------------------------------------------------------- glyphs

def find_fonts(folders):
    """Font files, one per file name, in an order that does not depend on the disk."""
    found = {}
    for folder in folders:
        for path in glob.glob(os.path.join(folder, "**", "*.?tf"), recursive=True):
            name = os.path.basename(path)
            if PRINTED.match(name):
                found.setdefault(name, path)
    return [found[name] for name in sorted(found)]


def render(path):
    """Ten masks, float32 [10,64,64], 1 = ink, each digit centred and GLYPH high."""
    font = ImageFont.truetype(path, 160)
    masks = []
    for digit in "0123456789":
        image = Image.new("L", (320, 320), 0)
        ImageDraw.Draw(image).text((60, 40), digit, font=font, fill=255)
        box = image.getbbox()
        if box is None:
            return None
        image = image.crop(box)
        width = max(3, round(image.width * GLYPH / image.height))
        image = image.resize((min(width, 52), GLYPH), Image.BOX if image.height > GLYPH else Image.BILINEAR)
        canvas = Image.new("L", (CANVAS, CANVAS), 0)
        canvas.paste(image, ((CANVAS - image.width) // 2, (CANVAS - GLYPH) // 2))
        masks.append(np.asarray(canvas, np.float32) / 255)
    return np.stack(masks)


# ---------------------------------------------------------- augmentation

def uniform(n, low, high, shape=(1, 1, 1)):
    return torch.rand(n, *shape) * (high - low) + low


def thicken(mask):
    """Dilates or erodes strokes; each glyph gets one of several strengths."""
    dilate3 = F.max_pool2d(mask, 3, 1, 1)
    dilate5 = F.max_pool2d(mask, 5, 1, 2)
    dilate7 = F.max_pool2d(dilate5, 3, 1, 1)
    erode3 = -F.max_pool2d(-mask, 3, 1, 1)
    choice = torch.rand(mask.shape[0], 1, 1, 1)
    out = mask.clone()
    # An eroded hairline would vanish: keep at least a third of the ink.
    keep = erode3.sum((1, 2, 3), keepdim=True) > mask.sum((1, 2, 3), keepdim=True) / 3
    out = torch.where((choice < 0.2) & keep, erode3, out)
    out = torch.where((choice > 0.45) & (choice <= 0.7), dilate3, out)
    # A bold face dilated further would fill its counters: only while ink stays under a third.
    thin = lambda m: m.mean((1, 2, 3), keepdim=True) < 0.3
    out = torch.where((choice > 0.7) & (choice <= 0.9) & thin(dilate5), dilate5, out)
    return torch.where((choice > 0.9) & thin(dilate7), dilate7, out)


def warp(mask):
    """Scale, slant, rotation, shift and elastic deformation; 64x64 -> 32x32."""
    n = mask.shape[0]
    # Height of the glyph in the 32x32 picture, and its width relative to that.
    height = uniform(n, 19, 26.5, ())
    squeeze = torch.exp(uniform(n, -0.25, 0.45, ()))
    sy = (GLYPH / CANVAS) * 32 / height
    sx = sy / squeeze
    turn = uniform(n, -0.28, 0.28, ())
    slant = uniform(n, -0.45, 0.45, ())
    cos, sin = torch.cos(turn), torch.sin(turn)
    # Output coordinate -> input coordinate: rotate, slant, then scale.
    a, b = cos + slant * sin, -sin + slant * cos
    theta = torch.stack([
        torch.stack([sx * a, sx * b, uniform(n, -0.09, 0.09, ())], 1),
        torch.stack([sy * sin, sy * cos, uniform(n, -0.09, 0.09, ())], 1),
    ], 1)
    grid = F.affine_grid(theta, (n, 1, 64, 64), align_corners=False)
    strength = uniform(n, 0.0, 0.09)
    coarse = torch.randn(n, 2, 4, 4) * strength
    fine = torch.randn(n, 2, 7, 7) * strength * 0.45
    bend = (F.interpolate(coarse, (64, 64), mode="bicubic", align_corners=True)
            + F.interpolate(fine, (64, 64), mode="bilinear", align_corners=True))
    grid = grid + bend.permute(0, 2, 3, 1)
    out = F.grid_sample(mask, grid, mode="bilinear", align_corners=False)
    return F.avg_pool2d(out, 2)


def coarsen(mask):
    """Resamples the middle 24x24 at a low resolution, as scanners and old data sets do."""
    n = mask.shape[0]
    third = n // 3
    out = mask.clone()
    for part, side in ((slice(0, third), 8), (slice(third, 2 * third), int(torch.randint(7, 17, ())))):
        middle = out[part, :, 4:28, 4:28]
        small = F.adaptive_avg_pool2d(middle, side)
        sharp = (small * uniform(small.shape[0], 1.0, 1.4)).clamp(0, 1)
        out[part] = 0
        out[part, :, 4:28, 4:28] = F.interpolate(sharp, (24, 24), mode="bilinear", align_corners=False)
    return out


def blur(mask):
    """Separable Gaussian, one width per quarter of the batch."""
    parts = []
    for i, part in enumerate(mask.chunk(4)):
        if i < 2:
            parts.append(part)
            continue
        sigma = float(torch.rand(())) * 0.9 + 0.3
        taps = torch.exp(-torch.arange(-3, 4).float() ** 2 / (2 * sigma * sigma))
        taps = taps / taps.sum()
        part = F.conv2d(part, taps.view(1, 1, 1, 7), padding=(0, 3))
        parts.append(F.conv2d(part, taps.view(1, 1, 7, 1), padding=(3, 0)))
    return torch.cat(parts)


def develop(mask):
    """Ink mask -> grey picture in [0,1]: contrast, uneven light, noise, 8-bit grey levels."""
    n = mask.shape[0]
    mask = mask.clamp(0, 1) ** uniform(n, 0.6, 1.5)
    paper, ink = uniform(n, 0.7, 1.0), uniform(n, 0.0, 0.4)
    paper = torch.where(torch.rand(n, 1, 1, 1) < 0.3, torch.ones(()), paper)
    light = F.interpolate(torch.randn(n, 1, 4, 4), (32, 32), mode="bilinear", align_corners=True)
    image = paper - (paper - ink) * mask + light * uniform(n, 0.0, 0.09)
    image = image + torch.randn_like(image) * uniform(n, 0.0, 0.07)
    return torch.round(image.clamp(0, 1) * 255) / 255


def picture_batch(glyphs, fonts, digits, order):
    """Augmented grey pictures [n,1,32,32]; `order` spreads the low-resolution parts."""
    mask = torch.clamp(warp(thicken(glyphs[fonts, digits].unsqueeze(1))), 0, 1)
    mask = blur(coarsen(mask)[order])
    back = torch.argsort(order)
    return develop(mask)[back]


def batch(glyphs, size):
    fonts = torch.randint(glyphs.shape[0], (size,))
    digits = torch.randint(10, (size,))
    return picture_batch(glyphs, fonts, digits, torch.randperm(size)), digits


# ----------------------------------------------------------------- model

class Net(nn.Module):
    """About 1.6 million multiply-adds and 0.1 million weights."""

    def __init__(self):
        super().__init__()
        widths = [(3, 16, 2), (16, 32, 2), (32, 40, 1), (40, 64, 1)]
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, s, 1, bias=False) for i, o, s in widths)
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for _, o, _ in widths)
        self.hidden = nn.Linear(64 * 4 * 4, 64)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms)):
            x = F.relu(norm(conv(x)))
            if i == 2:
                x = F.max_pool2d(x, 2)
        return self.head(F.dropout(F.relu(self.hidden(x.flatten(1))), 0.2, self.training))


def save_onnx(net, path):
    """Writes the graph by hand, batch norm folded: no exporter, so no paths inside."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, name = [], [], "image"

    def weight(label, value):
        weights.append(numpy_helper.from_array(value.detach().numpy().astype(np.float32).copy(), label))
        return label

    for i, (conv, norm) in enumerate(zip(net.convs, net.norms)):
        gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        w = weight(f"conv{i}.weight", conv.weight * gain.view(-1, 1, 1, 1))
        b = weight(f"conv{i}.bias", norm.bias - norm.running_mean * gain)
        nodes.append(helper.make_node("Conv", [name, w, b], [f"conv{i}"], kernel_shape=[3, 3],
                                      strides=list(conv.stride), pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"conv{i}"], [f"relu{i}"]))
        name = f"relu{i}"
        if i == 2:
            nodes.append(helper.make_node("MaxPool", [name], ["pool"], kernel_shape=[2, 2], strides=[2, 2]))
            name = "pool"
    nodes.append(helper.make_node("Flatten", [name], ["flat"], axis=1))
    nodes.append(helper.make_node("Gemm", ["flat", weight("hidden.weight", net.hidden.weight),
                                           weight("hidden.bias", net.hidden.bias)], ["hidden"], transB=1))
    nodes.append(helper.make_node("Relu", ["hidden"], ["hidden_relu"]))
    nodes.append(helper.make_node("Gemm", ["hidden_relu", weight("head.weight", net.head.weight),
                                           weight("head.bias", net.head.bias)], ["logits"], transB=1))
    graph = helper.make_graph(
        nodes, "printed-digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])], weights)
    model = helper.make_model(graph, producer_name="fed-bbpt printed-digits train.py",
                              opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, path)


# ----------------------------------------------------------------- basis

def fit_basis(glyphs, size, count, samples):
    """PCA of public printed glyphs, for the `statistic` prompt generator.

    The grey picture (dark on light, augmented as for training) is averaged
    over areas to size x size. `components` are orthonormal, sorted by variance,
    and orthogonal both to the constant picture and to `mean`. So
    z = components @ (picture - mean) / scale  =  components @ picture / scale:
    it ignores brightness, and the negative 1 - picture has exactly the
    statistics -z. Without this, handwriting in light ink would sit many standard
    deviations away from zero, and zeroth-order tuning crawls.
    `scale` is the standard deviation of each coefficient.
    """
    rows = []
    for _ in range(samples // 512):
        x, _ = batch(glyphs, 512)
        rows.append(F.adaptive_avg_pool2d(x, size).flatten(1))
    rows = torch.cat(rows).double()
    mean = rows.mean(0)
    span, _ = torch.linalg.qr(torch.stack([torch.ones_like(mean), mean], 1))
    rows = rows - mean
    rows = rows - rows @ span @ span.T
    values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
    components = vectors.flip(1)[:, :count].T
    # A fixed sign, so that another LAPACK writes the same file.
    sign = torch.sign(components.gather(1, components.abs().argmax(1, keepdim=True)))
    components = components * sign
    five = lambda t: [float(f"{v:.5g}") for v in t.tolist()]
    return {"size": size, "mean": five(mean), "scale": five(values.flip(0)[:count].clamp_min(0).sqrt()),
            "components": [five(c) for c in components]}


def write_basis(glyphs, args):
    torch.manual_seed(args.seed + 1)  # apart from training, so that --basis-only writes the same file
    basis = fit_basis(glyphs, args.basis_size, args.basis_count, args.basis_samples)
    with open(os.path.join(args.out, "basis.json"), "w") as file:
        json.dump(basis, file, separators=(",", ":"))
        file.write("\n")


# ------------------------------------------------------------ evaluation

def read_handwriting(path):
    """scikit-learn's digits (8x8, 0..16, csv.gz) -> ink [n,32,32] in [0,1], labels."""
    with gzip.open(path, "rt") as file:
        rows = [r for r in csv.reader(file) if r and r[0].replace(".", "").isdigit()]
    table = np.array(rows, np.float64)
    ink = torch.tensor(table[:, :64] / 16, dtype=torch.float32).view(-1, 1, 8, 8)
    ink = F.pad(F.interpolate(ink, (24, 24), mode="bilinear", align_corners=False), (4, 4, 4, 4))
    return ink, torch.tensor(table[:, 64].astype(np.int64))


def accuracy(net, grey, labels):
    net.eval()
    with torch.no_grad():
        answers = torch.cat([net(part.expand(-1, 3, -1, -1)).argmax(1) for part in grey.split(256)])
    return float((answers == labels).float().mean())


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fonts", nargs="+", default=["/usr/share/fonts"], help="folders searched for fonts")
    parser.add_argument("--out", default=here, help="folder to write to (default: beside this script)")
    parser.add_argument("--seed", type=int, default=20240)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=192)
    parser.add_argument("--steps", type=int, default=1800)
    parser.add_argument("--rate", type=float, default=3e-3, help="peak of the one-cycle learning rate")
    parser.add_argument("--basis-size", type=int, default=16)
    parser.add_argument("--basis-count", type=int, default=16)
    parser.add_argument("--basis-samples", type=int, default=20480)
    parser.add_argument("--basis-only", action="store_true", help="write basis.json and nothing else")
    parser.add_argument("--evaluate", metavar="DIGITS.CSV.GZ", help="measure zero-shot on handwriting, after training")
    parser.add_argument("--check", action="store_true", help="compare the written file with this network in onnxruntime")
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    paths = find_fonts(args.fonts)
    sheets = [(os.path.basename(p), render(p)) for p in paths]
    sheets = [(n, s) for n, s in sheets if s is not None]
    if not sheets:
        parser.error("no printed fonts found; see the package list in --help")
    # Every twelfth typeface is kept out of training, to measure print itself.
    held = torch.tensor(np.stack([s for i, (_, s) in enumerate(sheets) if i % 12 == 5]))
    glyphs = torch.tensor(np.stack([s for i, (_, s) in enumerate(sheets) if i % 12 != 5]))
    print(f"{len(sheets)} typefaces, {len(held)} held out")
    print(" ".join(n.rsplit(".", 1)[0] for n, _ in sheets))

    if args.basis_only:
        os.makedirs(args.out, exist_ok=True)
        return write_basis(glyphs, args)

    net = Net()
    optimiser = torch.optim.AdamW(net.parameters(), lr=args.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, args.rate, total_steps=args.steps, pct_start=0.15)
    start, shown = time.time(), 0.0
    for step in range(args.steps):
        net.train()
        x, y = batch(glyphs, args.batch)
        loss = F.cross_entropy(net(x.expand(-1, 3, -1, -1)), y, label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        shown = loss.item() if step == 0 else 0.98 * shown + 0.02 * loss.item()
        if step % 200 == 199:
            print(f"step {step + 1}  loss {shown:.3f}  {time.time() - start:.0f} s", flush=True)

    net.eval()
    os.makedirs(args.out, exist_ok=True)
    model = os.path.join(args.out, "printed-digits.onnx")
    save_onnx(net, model)
    with open(os.path.join(args.out, "labels.txt"), "w") as file:
        file.write("".join(f"{d}\n" for d in range(10)))
    with torch.no_grad():
        write_basis(glyphs, args)
        print_x, print_y = batch(held, 2048)
    print(f"held-out typefaces, augmented: {accuracy(net, print_x, print_y):.4f}")
    print(f"the same with light ink on dark paper: {accuracy(net, 1 - print_x, print_y):.4f}")
    if args.check:
        import onnxruntime
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        x = print_x[:256].expand(-1, 3, -1, -1).contiguous()
        with torch.no_grad():
            gap = np.abs(session.run(None, {"image": x.numpy()})[0] - net(x).numpy()).max()
        print(f"largest difference between file and network: {gap:.2e}")
        assert gap < 1e-3
    if args.evaluate:
        ink, labels = read_handwriting(args.evaluate)
        print(f"handwriting, dark on light: {accuracy(net, 1 - ink, labels):.4f}")
        print(f"handwriting, light on dark: {accuracy(net, ink, labels):.4f}")


if __name__ == "__main__":
    main()
