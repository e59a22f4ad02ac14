"""Every number that shapes the glyph images, with its default."""

from dataclasses import dataclass
from math import inf

LIMITS = {
    "image_size": (1, inf),
    "min_span": (0, inf),
    "jitter_sd": (0, inf),
    "max_rotation": (0, 180),
    "max_shift": (0, inf),
    "curve_points": (2, inf),
    "num_hues": (1, inf),
    "hue_sd": (0, inf),
    "saturation": (0, 1),
    "value": (0, 1),
    "background_saturation": (0, 1),
    "background_value": (0, 1),
    "texture_cycles": (0, inf),
    "num_textures": (1, inf),
    "num_scales": (1, inf),
    "noise_sd": (0, inf),
}


@dataclass(frozen=True)
class GlyphStyle:
    """How glyphs are drawn. Lengths are in half image widths; ranges are (low, high), inclusive.

    Attributes:
        image_size: height and width in pixels.
        strokes: range of the number of strokes of a template.
        extent: control points of a template are uniform in (-extent, extent)².
        min_span: the least distance between the end points of a stroke.
        jitter_sd: normal displacement of every control point of an instance.
        max_rotation: degrees; the rotation is uniform in ± this.
        scale: range of the factor on the whole glyph.
        max_shift: pixels; vertical and horizontal shift are uniform in ± this.
        half_width: range of a stroke's half-width.
        edge: a pixel at distance d of a stroke of half-width w is covered by clip(edge - d/w, 0, 1).
        curve_points: points at which a stroke's curve is evaluated for the distance.
        num_hues: foreground hues, evenly spaced on the colour circle.
        hue_sd: normal displacement of the hue, in units of the spacing.
        saturation: of the foreground, in [0, 1].
        value: of the foreground, in [0, 1].
        background_saturation: in [0, 1]; the background's hue is uniform on the circle.
        background_value: in [0, 1].
        texture_mean: the background is multiplied by mean + amplitude · sinusoid.
        texture_amplitude: see `texture_mean`.
        texture_cycles: periods of the sinusoid per image width; its phase is uniform.
        num_textures: orientations of the sinusoid, evenly spaced over 180 degrees.
        num_scales: equal bins of the scale's range that make the label.
        noise_sd: normal noise on every channel of every pixel, in [0, 1] units.

    Raises:
        ValueError: a range that is empty or reaches 0, a number outside its limits, a span that strokes of
            this extent cannot have.
    """

    image_size: int = 32
    strokes: tuple[int, int] = (2, 3)
    extent: float = 0.9
    min_span: float = 0.9
    jitter_sd: float = 0.10
    max_rotation: float = 15.0
    scale: tuple[float, float] = (0.55, 0.85)
    max_shift: float = 5.0
    half_width: tuple[float, float] = (0.07, 0.11)
    edge: float = 1.5
    curve_points: int = 24
    num_hues: int = 6
    hue_sd: float = 0.12
    saturation: float = 0.9
    value: float = 0.95
    background_saturation: float = 0.35
    background_value: float = 0.55
    texture_mean: float = 0.6
    texture_amplitude: float = 0.4
    texture_cycles: float = 4.0
    num_textures: int = 4
    num_scales: int = 3
    noise_sd: float = 0.12

    def __post_init__(self) -> None:
        for name in ("strokes", "scale", "half_width"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(
                    f"The glyphs' {name} range is ({low}, {high}), must be 0 < low <= high: mend it."
                )
        for name, (least, most) in LIMITS.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(
                    f"The glyphs' {name} is {getattr(self, name)}, must be in [{least}, {most}]: set it so."
                )
        # Beyond that, the draw of the templates would reject nearly every stroke, or all of them.
        if self.min_span > 2 * self.extent:
            raise ValueError(
                f"The glyphs' min_span is {self.min_span}, must be at most 2 * extent = {2 * self.extent}: "
                "lower it or raise extent."
            )
