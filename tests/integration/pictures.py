"""Pictures with something in them to find, and the pixels of what came of them, by ffmpeg."""

import math
import os
import pathlib
import shutil
import subprocess

import pytest

needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")


class Pixels:
    """A JPEG's, decoded."""

    def __init__(self, path, width, height):
        ran = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt",
                              "rgb24", "-"], capture_output=True, check=True, timeout=60)
        assert len(ran.stdout) == width * height * 3
        self.rgb, self.width, self.height = ran.stdout, width, height

    def is_green(self, x, y):
        at = (round(y) * self.width + round(x)) * 3
        red, green, blue = self.rgb[at:at + 3]
        return green > 190 and red < 90 and blue < 90

    def green(self):
        return {(x, y) for y in range(self.height) for x in range(self.width)
                if self.is_green(x, y)}


def write_tag(path, turn_deg=0):
    """Tag 0 of AprilTag's family 36h11, 160 pixels wide with its border, in the middle of
    320 x 240. Gives its corners."""
    code, cell, turn = 0xd5d628584, 16, math.radians(turn_deg)

    def shade(x, y):
        u = (x - 160) * math.cos(turn) + (y - 120) * math.sin(turn)
        v = (y - 120) * math.cos(turn) - (x - 160) * math.sin(turn)
        column, row = math.floor(u / cell) + 5, math.floor(v / cell) + 5
        if not (0 <= column < 10 and 0 <= row < 10):
            return 180
        if not (1 <= column < 9 and 1 <= row < 9):
            return 255  # the white border, then the black one
        inside = 2 <= column < 8 and 2 <= row < 8
        return 255 if inside and code >> (35 - (row - 2) * 6 - column + 2) & 1 else 0

    grey = bytes(shade(x, y) for y in range(240) for x in range(320))
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray", "-s",
                    "320x240", "-i", "-", "-q:v", "2", path], input=grey, check=True, timeout=60)
    return [(160 + u * math.cos(turn) - v * math.sin(turn),
             120 + u * math.sin(turn) + v * math.cos(turn))
            for u, v in ((-64, -64), (64, -64), (64, 64), (-64, 64))]


def face():
    """A picture whose first face is 53 pixels wide, at 22, 22, where there is one, and where the
    pipeline has what it needs."""
    cascade = "/usr/share/opencv4/lbpcascades/lbpcascade_frontalface_improved.xml"
    found = sorted(pathlib.Path("/usr/share/doc/opencv-doc").rglob("facereg.jpg"))
    if not found or not os.path.exists(cascade):
        pytest.skip("opencv-data or opencv-doc is not installed")
    return found[0]
