# Copyright (c) orsa contributors. All rights reserved.
"""Turning the head: a coarse depth model, and the warp it gives.

The frontal drawing is taken for a relief. A turned head shows every point of
it moved along by its depth; the result is aligned on eyes, nose and mouth as
face crops are, so synthetic faces are framed like RAF-DB's.
"""
from dataclasses import dataclass
from typing import Tuple

import cv2
import numpy as np

from orsa.utils.face_regions import five_points
from .canvas import BOX, PAD
from .landmarks import BASE

_CENTRE = np.float32((64, 72))
_GRID = 24
_TEMPLATE = five_points(BASE) - np.float32((0, .6))


@dataclass
class Pose:
    """Head pose in radians, and the error of the alignment.

    Args:
        yaw, pitch (float): Turns about the vertical and horizontal axes.
        roll (float): In-plane rotation left over by the alignment.
        scale (float): Scale left over by the alignment.
        shift (tuple[float, float]): Offset left over, in units.
        distance (float): Of the camera, in units: short is more perspective.
    """
    yaw: float = 0.
    pitch: float = 0.
    roll: float = 0.
    scale: float = 1.
    shift: Tuple[float, float] = (0., 0.)
    distance: float = 500.


def sample_pose(rng: np.random.Generator) -> Pose:
    """Draw a pose of press photographs: mostly near frontal."""
    n = rng.standard_normal(6).clip(-2.1, 2.1)
    return Pose(
        yaw=.25 * n[0],
        pitch=.1 * n[1],
        roll=.045 * n[2],
        scale=1 + .035 * n[3],
        shift=(1.1 * n[4], 1.1 * n[5]),
        distance=rng.uniform(300, 900))


def _depth(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Depth towards the viewer of frontal points, all in units.

    A paraboloid head with a nose, that goes on as a cone: slopes stay near 1,
    so a turn of up to 30 degrees does not fold the drawing over itself.
    """
    u = np.abs(x - 64) * np.float32(1 / 51)
    bent = np.minimum(u, .75)
    head = 35 * (1 - bent * (2 * u - bent) - ((y - 62) / 88)**2)
    head = np.maximum(head, -50)
    across = ((x - 64) / 6.5)**2
    nose = 8 * np.exp(-.5 * (across + ((y - 76) / 7)**2))
    bridge = 3 * np.exp(-.5 * (across + ((y - 62) / 9)**2))
    return head + nose + bridge


class Camera:
    """The map between the frontal drawing and the image, in units.

    Args:
        pose (Pose): Head pose.
        landmarks (np.ndarray): (68, 2) frontal landmarks to align by.
    """

    def __init__(self, pose: Pose, landmarks: np.ndarray) -> None:
        self.pose = pose
        turns = np.float32([pose.yaw, pose.pitch])
        self.sin, self.cos = np.sin(turns), np.cos(turns)
        self.similarity = self._align(self._turn(five_points(landmarks)))

    def _align(self, source: np.ndarray) -> np.ndarray:
        """Least-squares similarity onto the template (Umeyama), and jitter."""
        mean, to_mean = source.mean(0), _TEMPLATE.mean(0)
        a, b = (source - mean).T
        u, v = (_TEMPLATE - to_mean).T
        norm = (a * a + b * b).sum()
        turn = complex((a * u + b * v).sum(), (a * v - b * u).sum()) / norm
        turn *= self.pose.scale * np.exp(1j * self.pose.roll)
        linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
        offset = to_mean + self.pose.shift - linear @ mean
        return np.concatenate([linear, offset[:, None]], 1)

    def _turn(self, points: np.ndarray) -> np.ndarray:
        x, y = (points - _CENTRE).T
        z = _depth(points[:, 0], points[:, 1])
        x, z = (x * self.cos[0] + z * self.sin[0],
                z * self.cos[0] - x * self.sin[0])
        y, z = (y * self.cos[1] - z * self.sin[1],
                z * self.cos[1] + y * self.sin[1])
        near = 1 / (1 - z / self.pose.distance)
        return np.stack([x * near, y * near], 1) + _CENTRE

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project frontal points (N, 2) to image points, float32 in units."""
        turned = self._turn(points)
        return (turned @ self.similarity[:, :2].T +
                self.similarity[:, 2]).astype(np.float32)

    def _unproject(self, points: np.ndarray) -> np.ndarray:
        """Image points to frontal points, by iteration."""
        inverse = np.linalg.inv(self.similarity[:, :2])
        turned = (points - self.similarity[:, 2]) @ inverse.T
        turned = turned.astype(np.float32)
        frontal = turned.copy()
        ahead = np.float32((1, 0))
        for _ in range(3):
            at = self._turn(frontal)
            # Newton in x, where depth matters, as it changes fastest there
            slope = (self._turn(frontal + ahead) - at)[:, 0].clip(.25)
            frontal[:, 0] += (turned - at)[:, 0] / slope
            frontal[:, 1] += (turned - at)[:, 1]
        return frontal

    def canvas_maps(self, size: int,
                    scale: float) -> Tuple[np.ndarray, np.ndarray]:
        """Maps for ``cv2.remap`` of the canvas, x and y (size, size) float32.

        The inverse is solved on a coarse grid and interpolated. The canvas has
        ``scale`` pixels per unit.
        """
        # a margin, as cv2.resize cannot interpolate in the outer half cells
        margin = max(2, round(.04 * size))
        side = size + 2 * margin
        axis = ((np.arange(_GRID) + .5) / _GRID * side - margin) * BOX / size
        grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
        frontal = (self._unproject(grid) + PAD) * scale - .5
        frontal = frontal.reshape(_GRID, _GRID, 2).astype(np.float32)
        maps = cv2.resize(frontal, (side, side), interpolation=cv2.INTER_CUBIC)
        maps = maps[margin:-margin, margin:-margin]
        return maps[..., 0].copy(), maps[..., 1].copy()
