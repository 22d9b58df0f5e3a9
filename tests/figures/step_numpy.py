"""Times one optimiser step in NumPy: 224x224, K = 5 directions, both signs, B = 64, generator `statistic`.

The same work as client-wasm/examples/step.rs: from theta, the directions and the images' statistics to the bytes
of 10 x 64 images. Two ways to write it, the whole batch at once and image by image (which stays in the cache);
both are timed, the faster one counts. Ends with one line of JSON: {"bytes", "numpy_ms", "batch_ms", "image_ms"}.
"""

import json
import statistics
import time

import numpy as np

SIDE, BATCH, DIRECTIONS, GRID, STATISTICS, RUNS = 224, 64, 5, 8, 8, 5
random = np.random.default_rng(1)


def stretch():
    """Bilinear interpolation from GRID nodes to SIDE pixels: half-pixel centres, clamped at the border."""
    position = np.clip((np.arange(SIDE) + 0.5) * GRID / SIDE - 0.5, 0, GRID - 1)
    first = np.minimum(position.astype(int), GRID - 2)
    matrix = np.zeros((SIDE, GRID), np.float32)
    matrix[np.arange(SIDE), first] = 1 - (position - first)
    matrix[np.arange(SIDE), first + 1] = position - first
    return matrix


# Prepared once for a whole training run, so not timed: images as numbers in levels, their statistics.
levels = random.integers(0, 256, (BATCH, 3, SIDE, SIDE)).astype(np.float32)
z = random.normal(size=(BATCH, STATISTICS)).astype(np.float32)
theta = (0.1 * random.normal(size=(GRID * GRID, STATISTICS + 1))).astype(np.float32)
across = stretch()
out = np.empty((2 * DIRECTIONS, BATCH, 3, SIDE, SIDE), np.uint8)
work = np.empty((BATCH, 3, SIDE, SIDE), np.float32)


def candidates():
    for _ in range(DIRECTIONS):
        direction = random.integers(0, 2, theta.shape).astype(np.float32) * 2 - 1
        yield theta + np.float32(0.05) * direction
        yield theta - np.float32(0.05) * direction


def grids(point):
    u = z @ point[:, :-1].T + point[:, -1]
    return np.float32(255) * np.tanh(u).reshape(BATCH, GRID, GRID)


def add_quantised(images, prompts, scratch, to):
    np.add(images, prompts, out=scratch)
    np.clip(scratch, 0, 255, out=scratch)
    np.rint(scratch, out=scratch)
    np.copyto(to, scratch, casting="unsafe")


def whole_batch():
    for k, point in enumerate(candidates()):
        prompts = across @ grids(point) @ across.T
        add_quantised(levels, prompts[:, None], work, out[k])


def image_by_image():
    for k, point in enumerate(candidates()):
        for i, grid in enumerate(grids(point)):
            add_quantised(levels[i], across @ grid @ across.T, work[0], out[k, i])


def median_ms(step):
    step()
    times = []
    for _ in range(RUNS):
        before = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - before))
    return statistics.median(times)


batch_ms, image_ms = median_ms(whole_batch), median_ms(image_by_image)
print(json.dumps({
    "bytes": out.size,
    "numpy_ms": min(batch_ms, image_ms),
    "batch_ms": batch_ms,
    "image_ms": image_ms,
}))
