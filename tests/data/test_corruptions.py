"""Every corruption equals its formula, written once more in plain NumPy from the paper's text."""

import io
from colorsys import hsv_to_rgb, rgb_to_hsv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vlmbench.data.corruptions.apply import corrupt
from vlmbench.data.corruptions.kinds import KINDS, SIDE, Corruption
from vlmbench.foundations.seeds import derive_seed

PHOTOGRAPHS = Path(__file__).parents[3] / "shared" / "data" / "captioned-images"
HEIGHT, WIDTH = 45, 53
SCALE = HEIGHT / SIDE


@pytest.fixture(scope="module")
def pixels():
    random = np.random.default_rng(1)
    small = Image.fromarray(random.integers(0, 256, (6, 7, 3), np.uint8))
    found = np.array(small.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    found[2, 3], found[4, 5], found[6, 7] = 90, 0, (255, 0, 10)  # a grey, black and a saturated pixel
    return found


def gaussian_kernel(deviation, reach):
    line = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * deviation**2))
    return line / line.sum()


def blurred(x, deviation):
    """Separable, up to 4 deviations, edges repeated."""
    reach = int(4 * deviation + 0.5)
    line = gaussian_kernel(deviation, reach)
    for axis in (0, 1):
        margin = [(reach, reach) if i == axis else (0, 0) for i in range(3)]
        padded = np.pad(x, margin, "edge")
        x = sum(w * np.take(padded, range(i, i + x.shape[axis]), axis) for i, w in enumerate(line))
    return x


def streaked(x, radius, deviation, degrees):
    count = 2 * int(np.ceil(radius)) + 1
    weights = np.exp(-(np.arange(count) ** 2) / (2 * deviation**2))
    found, angle = np.zeros(x.shape), np.deg2rad(degrees)
    for y in range(x.shape[0]):
        for z in range(x.shape[1]):
            for i in range(count):
                row = min(max(y + int(np.ceil(i * np.sin(angle) - 0.5)), 0), x.shape[0] - 1)
                column = min(max(z + int(np.ceil(i * np.cos(angle) - 0.5)), 0), x.shape[1] - 1)
                found[y, z] += weights[i] / weights.sum() * x[row, column]
    return found


def centre(x, factor):
    """Linear interpolation of the centre at its size, pixels' centres at halves, edges repeated."""
    height, width = x.shape[:2]

    def along(values, size, axis):
        place = np.clip((size - size / factor) / 2 + (np.arange(size) + 0.5) / factor - 0.5, 0, size - 1)
        low = np.minimum(place.astype(int), size - 1)
        share = (place - low).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
        return np.take(values, low, axis) * (1 - share) + np.take(values, np.minimum(low + 1, size - 1), axis) * share

    return along(along(x, width, 1), height, 0)


def expected(kind, constants, x, random):
    """What the corruption makes of pixels [H, W, 3], float64 of 0 to 255."""
    if kind == "gaussian_noise":
        return x + 255 * constants * random.standard_normal(x.shape, np.float32)
    if kind == "shot_noise":
        return 255 * random.poisson(x / 255 * constants) / constants
    if kind == "impulse_noise":
        drawn = random.random(x.shape, np.float32)
        return np.where(drawn < constants / 2, 0, np.where(drawn >= 1 - constants / 2, 255, x))
    if kind == "speckle_noise":
        return x + x * constants * random.standard_normal(x.shape, np.float32)
    if kind == "gaussian_blur":
        return blurred(x, constants * SCALE)
    if kind == "defocus_blur":
        radius, deviation = constants[0] * SCALE, constants[1]
        reach = int(radius) + 1
        y, z = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        disk = (y**2 + z**2 <= radius**2).astype(float)
        edge = gaussian_kernel(deviation, 1)
        padded = np.pad(disk / disk.sum(), 1)
        kernel = sum(
            edge[i] * edge[j] * padded[i : i + len(disk), j : j + len(disk)] for i in range(3) for j in range(3)
        )
        around = np.pad(x, ((reach, reach), (reach, reach), (0, 0)), "reflect")
        return sum(
            kernel[i, j] * around[i : i + HEIGHT, j : j + WIDTH] for i in range(len(kernel)) for j in range(len(kernel))
        )
    if kind == "glass_blur":
        reach = max(1, round(constants[1] * SCALE))
        once = blurred(x, constants[0] * SCALE)
        for _ in range(constants[2]):
            rows, columns = range(HEIGHT - reach, reach, -1), range(WIDTH - reach, reach, -1)
            down, right = random.integers(-reach, reach, (2, len(rows) * len(columns)))
            for i, (row, column) in enumerate((row, column) for row in rows for column in columns):
                other = (row + down[i], column + right[i])
                once[row, column], once[other] = once[other].copy(), once[row, column].copy()
        return blurred(once, constants[0] * SCALE)
    if kind == "motion_blur":
        return streaked(x, constants[0] * SCALE, constants[1] * SCALE, random.uniform(-45, 45))
    if kind == "zoom_blur":
        return (x + sum(centre(x, 1 + i * constants[1]) for i in range(constants[0]))) / (constants[0] + 1)
    if kind == "snow":
        mean, deviation, size, threshold, radius, blur, weight = constants
        flakes = centre(mean + deviation * random.standard_normal((HEIGHT, WIDTH), np.float32), size)
        flakes = np.clip(np.where(flakes < threshold, 0, flakes), 0, 1)[:, :, None]
        flakes = streaked(flakes, radius * SCALE, blur * SCALE, random.uniform(-135, -45))
        grey = (x / 255 * [0.299, 0.587, 0.114]).sum(axis=2, keepdims=True)
        return 255 * (
            weight * x / 255 + (1 - weight) * np.maximum(x / 255, grey * 1.5 + 0.5) + flakes + np.rot90(flakes, 2)
        )
    if kind == "fog":
        haze = fractal(64, constants[1], random)[:HEIGHT, :WIDTH, None]
        most = x.max() / 255
        return 255 * (x / 255 + constants[0] * haze) * most / (most + constants[0])
    if kind in ("brightness", "saturate"):
        found = np.empty(x.shape)
        for place in np.ndindex(x.shape[:2]):
            hue, saturation, value = rgb_to_hsv(*(x[place] / 255))
            if kind == "brightness":
                value = min(value + constants, 1)
            else:
                saturation = min(max(saturation * constants[0] + constants[1], 0), 1)
            found[place] = hsv_to_rgb(hue, saturation, value)
        return 255 * found
    if kind == "contrast":
        return (x - x.mean(axis=(0, 1))) * constants + x.mean(axis=(0, 1))
    if kind == "pixelate":
        return boxes(boxes(x, int(HEIGHT * constants), int(WIDTH * constants)).round(), HEIGHT, WIDTH)
    if kind == "jpeg_compression":
        buffer = io.BytesIO()
        Image.fromarray(x.astype(np.uint8)).save(buffer, "JPEG", quality=constants)
        return np.asarray(Image.open(buffer), float)
    raise AssertionError(kind)


def boxes(x, height, width):
    """Means over rectangles; where pixels are made larger, the one at each centre."""
    for axis, size in ((0, height), (1, width)):
        ratio = x.shape[axis] / size
        rows = []
        for i in range(size):
            middle, half = (i + 0.5) * ratio, max(ratio, 1) / 2
            inside = [j for j in range(x.shape[axis]) if middle - half < j + 0.5 <= middle + half] or [int(middle)]
            rows.append(np.take(x, inside, axis).mean(axis=axis))
        x = np.stack(rows, axis)
    return x


def fractal(side, decay, random):
    """Diamonds and squares, point by point, on a torus."""
    found, step, noise = np.zeros((side, side)), side, 1.0
    while step >= 2:
        half, points = step // 2, range(0, side, step)
        wobble = [noise * random.uniform(-1, 1, (len(points), len(points))) for _ in range(3)]
        for i, y in enumerate(points):
            for j, z in enumerate(points):
                corners = [found[(y + a) % side, (z + b) % side] for a in (0, step) for b in (0, step)]
                found[y + half, z + half] = np.mean(corners) + wobble[0][i, j]
        for which, (down, right) in enumerate([(0, half), (half, 0)]):
            for i, y in enumerate(points):
                for j, z in enumerate(points):
                    row, column = y + down, z + right
                    near = [(row - half, column), (row + half, column), (row, column - half), (row, column + half)]
                    found[row, column] = np.mean([found[a % side, b % side] for a, b in near]) + wobble[1 + which][i, j]
        step, noise = half, noise / decay**2
    return (found - found.min()) / (found.max() - found.min())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "elastic_transform"])
def test_every_corruption_is_its_formula(kind, pixels):
    for severity in (3, 5):
        random = np.random.default_rng(derive_seed(0, "corruption", kind, "a.png"))
        found = np.asarray(corrupt(Image.fromarray(pixels), Corruption(kind, severity), "a.png")).astype(float)
        formula = expected(kind, KINDS[kind].constants[severity - 1], pixels.astype(float), random).clip(0, 255)
        assert found.shape == pixels.shape
        # Pillow rounds each magnified image; elsewhere the nearest integer
        assert np.abs(found - formula).max() <= (1.01 if kind in ("zoom_blur", "pixelate") else 0.51), (kind, severity)
        assert severity < 5 or np.abs(found - pixels).max() > 2


def test_an_elastic_transform_moves_three_points_and_smooth_shifts():
    ramp = np.stack(np.broadcast_arrays(np.arange(40)[:, None], np.arange(40), np.zeros((40, 40))), axis=2)
    image = Image.fromarray((ramp * 6).astype(np.uint8))
    for severity in range(1, 6):
        amplitude, deviation, reach = (
            value * 40 / SIDE for value in KINDS["elastic_transform"].constants[severity - 1]
        )
        random = np.random.default_rng(derive_seed(0, "corruption", "elastic_transform", "a"))
        third = 40 // 3
        before = np.array([20, 20]) + np.array([[third, third], [third, -third], [-third, -third]])
        after = before + random.uniform(-reach, reach, (3, 2))
        noise = random.uniform(-1, 1, (2, 40, 40))
        moved = np.asarray(corrupt(image, Corruption("elastic_transform", severity), "a")).astype(float) / 6
        inverse = np.linalg.solve(np.hstack([after, np.ones((3, 1))]), before.astype(float))
        largest = 0.0
        radius = int(3 * deviation + 0.5)
        line = gaussian_kernel(deviation, radius)
        for y, x in [(20, 20), (12, 25), (25, 14), (18, 30)]:
            shift = []
            for field in noise:
                padded = np.pad(field, radius, "symmetric")
                shift.append(amplitude * (line[:, None] * line * padded[y : y + len(line), x : x + len(line)]).sum())
            column, row = np.array([x + shift[1], y + shift[0], 1]) @ inverse
            if 1 < column < 38 and 1 < row < 38:
                largest = max(largest, *np.abs(moved[y, x, :2] - [row, column]))
        assert largest < 0.1


def test_a_large_image_is_made_smaller_first_and_a_tiny_one_is_none_too_small():
    large = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 500, 3), np.uint8))
    smaller = large.resize((373, 224), Image.Resampling.BILINEAR)
    for kind in ("pixelate", "gaussian_noise"):
        made = [corrupt(image, Corruption(kind, 2), "a").tobytes() for image in (large, smaller)]
        assert made[0] == made[1]
    for kind in KINDS:
        for size in ((1, 1), (2, 1), (1, 9), (3, 5)):
            assert corrupt(Image.new("RGB", size, (9, 99, 199)), Corruption(kind, 5), "a").size == size


@pytest.mark.long
@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="the photographs lie beside the repository, not in it")
@pytest.mark.parametrize("kind", KINDS)
def test_more_severe_is_further_from_the_clean_image(kind):
    """On the mean over 26 photographs; but for two kinds, whose constants in the paper do not grow."""
    distances = np.zeros(5)
    for path in sorted(PHOTOGRAPHS.glob("*.jpg")):
        image = Image.open(path).convert("RGB").resize((224, 224))
        clean = np.asarray(image).astype(float)
        for severity in range(1, 6):
            made = np.asarray(corrupt(image, Corruption(kind, severity), path.name)).astype(float)
            distances[severity - 1] += np.sqrt(((made - clean) ** 2).mean())
    grows = bool((np.diff(distances) > 0).all())
    assert grows == (kind not in ("elastic_transform", "saturate"))
