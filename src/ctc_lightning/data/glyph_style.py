"""Every number that shapes the glyph images, with its default."""

from dataclasses import dataclass

from ctc_lightning.checks import in_range

LIMITS = {
    "[0, inf)": ("min_span", "jitter_sd", "max_shift", "hue_sd", "texture_cycles", "noise_sd"),
    "[0, 180]": ("max_rotation",),
    "[0, 1]": ("saturation", "value", "background_saturation", "background_value"),
    "[1, inf)": ("image_size", "num_hues", "num_textures", "num_scales"),
    "[2, inf)": ("curve_points",),
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
        for interval, names in LIMITS.items():
            in_range("glyphs", interval, **{name: getattr(self, name) for name in names})
        # Beyond that, the draw of the templates would reject nearly every stroke, or all of them.
        if self.min_span > 2 * self.extent:
            raise ValueError(
                f"The glyphs' min_span is {self.min_span}, must be at most 2 * extent = {2 * self.extent}: "
                "lower it or raise extent."
            )
