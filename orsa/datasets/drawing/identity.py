# Copyright (c) orsa contributors. All rights reserved.
"""Who is drawn: proportions, skin, hair, age and what the person wears."""
from dataclasses import dataclass
from typing import Tuple

import numpy as np

# From light to dark, RGB: anchors through the complete human range.
SKIN_TONES = np.float32([(232, 196, 172), (226, 182, 154), (215, 168, 138),
                         (194, 144, 110), (164, 116, 84), (128, 86, 60),
                         (94, 62, 44), (66, 44, 34)])
_HAIR = np.float32([(28, 24, 22), (44, 32, 26), (72, 48, 34), (104, 70, 44),
                    (140, 98, 60), (196, 156, 100), (226, 200, 152),
                    (130, 62, 34)])
_GREY_HAIR = np.float32((160, 158, 156))
_IRIS = np.float32([(64, 42, 26), (86, 56, 32), (110, 84, 50), (94, 110, 80),
                    (100, 130, 150), (120, 140, 150)])
HAIR_STYLES = ('short', 'crop', 'receding', 'bald', 'side_part', 'tied',
               'fringe', 'long', 'bob', 'curly')
_MALE = np.float32([.32, .16, .14, .06, .22, 0, .02, .02, 0, .06])
_FEMALE = np.float32([.05, .01, 0, 0, .12, .22, .16, .24, .12, .08])
BEARDS = ('none', 'stubble', 'moustache', 'goatee', 'full')


@dataclass
class FaceShape:
    """Proportions: factors around 1, or shifts in units around 0."""
    width: float = 1.
    jaw: float = 1.
    chin: float = 1.
    eye_width: float = 1.
    eye_open: float = 1.
    eye_gap: float = 0.
    eye_slant: float = 0.
    brow_height: float = 0.
    brow_slant: float = 0.
    brow_arch: float = 1.
    nose_length: float = 1.
    nose_width: float = 1.
    mouth_width: float = 1.
    mouth_drop: float = 0.
    mouth_tilt: float = 0.
    upper_lip: float = 1.
    lower_lip: float = 1.


@dataclass
class Identity:
    """A person. Colours are BGR in [0, 255]; traits are in [0, 1]."""
    shape: FaceShape
    skin: np.ndarray
    hair: np.ndarray
    brow: np.ndarray
    lips: np.ndarray
    iris: np.ndarray
    female: float
    age: float
    darkness: float
    brow_thickness: float
    hair_style: str
    hairline: float
    hair_volume: float
    beard: str
    makeup: float
    freckles: float
    nose_height: float
    socket: float
    frown_line: float
    glasses: str
    texture_seed: int


def along(anchors: np.ndarray, t: float) -> np.ndarray:
    """Interpolate a colour (3, ) at ``t`` in [0, 1] along anchors (N, 3)."""
    at = t * (len(anchors) - 1)
    low = min(int(at), len(anchors) - 2)
    return anchors[low] + (anchors[low + 1] - anchors[low]) * (at - low)


def _sample_shape(rng: np.random.Generator, female: float) -> FaceShape:
    n = rng.standard_normal(17).clip(-2.2, 2.2)
    manly = .5 - female
    return FaceShape(
        width=1.05 + .04 * n[0],
        jaw=1.03 + .06 * n[1] + .07 * manly,
        chin=1 + .07 * n[2] + .06 * manly,
        eye_width=1.03 + .05 * n[3] - .04 * manly,
        eye_open=1.1 + .15 * n[4] - .12 * manly,
        eye_gap=.8 * n[5],
        eye_slant=.03 + .05 * n[6] - .03 * manly,
        brow_height=-.6 + 1.8 * n[7] + 2.6 * manly,
        brow_slant=.04 * n[8] - .03 * manly,
        brow_arch=1 + .35 * n[9] - .5 * manly,
        nose_length=1 + .04 * n[10],
        nose_width=1 + .1 * n[11] + .1 * manly,
        mouth_width=1 + .07 * n[12] + .05 * manly,
        mouth_drop=1.0 * n[13],
        mouth_tilt=.03 * n[16],
        upper_lip=1 + .2 * n[14] - .2 * manly,
        lower_lip=1 + .18 * n[15] - .15 * manly)


def _sample_hair(rng: np.random.Generator, darkness: float,
                 age: float) -> Tuple[np.ndarray, np.ndarray]:
    tone = rng.beta(1, 1.2 + 5 * darkness)
    hair = along(_HAIR[:7], tone)
    if rng.random() < .05 * (1 - darkness):
        hair = _HAIR[7]
    brow = hair * .72
    grey = np.clip((age - .55) * 2.6 + .25 * rng.standard_normal(), 0, 1)
    hair = hair + (_GREY_HAIR - hair) * grey
    brow = brow + (_GREY_HAIR * .8 - brow) * grey * .6
    return hair[::-1].copy(), brow[::-1].copy()


def sample_identity(rng: np.random.Generator,
                    glasses_prob: float = .12) -> Identity:
    """Draw a person at random.

    Args:
        rng (np.random.Generator): Source of the variation.
        glasses_prob (float): Probability that the person wears glasses.
            Defaults to 0.12.

    Returns:
        Identity: The person.
    """
    female = float(
        np.clip(.5 + rng.choice((-.45, .45)) * rng.beta(4, 1), 0, 1))
    age = float(rng.beta(1.6, 2.))
    shape = _sample_shape(rng, female)
    darkness = rng.beta(1.1, 1.5)
    skin = along(SKIN_TONES, darkness)[::-1]
    skin = skin * (1 + .018 * rng.standard_normal(3))
    hair, brow = _sample_hair(rng, darkness, age)
    style_odds = _MALE + (_FEMALE - _MALE) * female
    style_odds = style_odds * np.where(
        np.isin(HAIR_STYLES, ('receding', 'bald')), .3 + 2 * age, 1)
    style = rng.choice(len(HAIR_STYLES), p=style_odds / style_odds.sum())
    beard = 'none'
    if female < .4 and rng.random() < .45:
        beard = BEARDS[1 + rng.choice(4, p=(.45, .2, .15, .2))]
    makeup = float(rng.random() * (female > .6) * (rng.random() < .6))
    lips = skin * np.float32((.70, .66, .86)) + np.float32((6, 0, 10))
    lips += (np.float32((50, 34, 160)) - lips) * makeup * .5
    iris = along(_IRIS, min(1, rng.beta(1, 1 + 4 * darkness)))[::-1].copy()
    return Identity(
        shape=shape,
        skin=skin,
        hair=hair,
        brow=brow,
        lips=lips,
        iris=iris,
        female=female,
        age=age,
        darkness=float(darkness),
        brow_thickness=float(
            np.clip(3.9 - 1.4 * female + .8 * rng.normal(), 1.2, 6)),
        hair_style=HAIR_STYLES[style],
        hairline=float(4 + 5 * rng.normal()),
        hair_volume=float(rng.random()),
        beard=beard,
        makeup=makeup,
        freckles=float(rng.random() * (rng.random() < .15)),
        nose_height=float(1 + .2 * rng.normal()),
        socket=float(rng.uniform(.2, 1.3)),
        frown_line=float(rng.beta(1, 2.5) * (.3 + .7 * age)),
        glasses=('round', 'square', 'thin')[rng.integers(3)]
        if rng.random() < glasses_prob else 'none',
        texture_seed=int(rng.integers(2**31)))
