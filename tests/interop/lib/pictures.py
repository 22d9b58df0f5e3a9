"""Pictures for classifiers, as the clients want them."""

import base64
import io

from PIL import Image, ImageDraw


def picture(seed, side=32, kind="PNG"):
    """A picture's file: a bright stroke on black, another for each seed."""
    image = Image.new("RGB", (side, side))
    draw = ImageDraw.Draw(image)
    at = 6 + 3 * (seed % 7)
    draw.line([(at, 4), (side - at, side - 5)], fill=(255, 255, 255), width=3)
    if seed % 2:
        draw.ellipse([8, 8, side - 8, side - 8], outline=(255, 255, 255), width=3)
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def pixels(file):
    """Its pixels as the model's tensor: planar RGB, one list."""
    image = Image.open(io.BytesIO(file)).convert("RGB")
    return [value for channel in image.split() for value in channel.tobytes()]


def data_url(file, kind="png"):
    return f"data:image/{kind};base64,{base64.b64encode(file).decode()}"
