# Copyright (c) orsa contributors. All rights reserved.
"""Draw the pictures of the pages that show the model that ships:
``python docs/site/images.py``. Those of the web page need playwright and
Chromium."""
import argparse
import contextlib
import os
import re
import shutil
import subprocess
from typing import Any, Iterator

import cv2
import numpy as np

from orsa.apis import FERInferencer
from orsa.datasets.drawing import draw_face
from orsa.utils.command import run_script

SIDE, _WAIT = 170, 120_000  # pixels, milliseconds
# by place, with an occluder where there is one
FACES = (('neutral', None), ('anger', None), ('sadness', 'scarf'),
         ('surprise', None), ('fear', None), ('happiness', 'sunglasses'),
         ('disgust', None), ('happiness', 'mask'))


def draw_predictions(out: str, seed: int = 8) -> None:
    """Draw synthetic faces with what is predicted of them."""
    canvas = np.full((520, 960, 3), 150, np.uint8)
    for place, (expression, kind) in enumerate(FACES):
        face = draw_face(
            expression,
            np.random.default_rng(seed + place),
            SIDE,
            occlude_prob=float(kind is not None),
            occluders=[kind or 'hand'],
            intensity=(1., 1.),
            grey_prob=0.)
        y, x = 50 + 245 * (place // 4), 40 + 232 * (place % 4)
        canvas[y:y + SIDE, x:x + SIDE] = face['img']
    inferencer = FERInferencer()
    found = inferencer(canvas, keep_images=True)['predictions'][0]
    drawn = inferencer.visualize(found, draw_parsing=True)
    cv2.imwrite(out, drawn, [cv2.IMWRITE_JPEG_QUALITY, 90])
    for face in found.faces:
        print(face.box, face.expression, round(face.confidence, 2))


@contextlib.contextmanager
def open_page(*arguments: str) -> Iterator[Any]:
    """The page of ``orsa web`` in a browser, with its drawn faces."""
    from playwright.sync_api import expect, sync_playwright
    expect.set_options(timeout=_WAIT)
    server = subprocess.Popen(['orsa', 'web', '--port', '0', *arguments],
                              stdout=subprocess.PIPE,
                              text=True)
    try:
        address = next(
            filter(None, (re.search(r'http://\S+', s)
                          for s in server.stdout))).group()
        with sync_playwright() as play:
            browser = play.chromium.launch(
                executable_path=shutil.which('chromium'),
                args=['--no-sandbox', '--disable-gpu'])
            page = browser.new_page(viewport=dict(width=1280, height=900))
            page.set_default_timeout(_WAIT)
            page.goto(address)
            page.click('text=Try drawn faces')
            expect(page.locator('body')).to_contain_text('3 faces found')
            yield page
            browser.close()
    finally:
        server.terminate()
        server.wait()


def occlude(page: Any, kind: str) -> None:
    """Choose an occluder, and wait until everything is drawn."""
    from playwright.sync_api import expect
    page.click('#orsa-kind input')
    page.click(f'[role=option]:has-text("{kind}")')
    page.keyboard.press('Tab')
    expect(page.locator('#orsa-first table')).to_be_visible()
    page.wait_for_timeout(10_000)


def photograph_page(page_out: str, compare_out: str) -> None:
    """Take the pictures of ``orsa web``."""
    with open_page() as page:
        occlude(page, 'hand')
        page.screenshot(path=page_out, full_page=True)
    with open_page('--second', 'orsanet_lite') as page:
        occlude(page, 'mask')
        page.evaluate('scrollTo(0, 0)')  # boxes count from there
        top = page.locator('text=Occlude it').bounding_box()
        end = page.locator('#orsa-batch').bounding_box()
        page.screenshot(
            path=compare_out,
            full_page=True,
            clip=dict(
                x=top['x'] - 16,
                y=top['y'] - 12,
                width=end['width'] + 32,
                height=end['y'] - top['y']))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', default='docs/images')
    parser.add_argument('--no-page', action='store_true')
    args = parser.parse_args()
    draw_predictions(os.path.join(args.out, 'inference.jpg'))
    if not args.no_page:
        photograph_page(
            os.path.join(args.out, 'web_page.png'),
            os.path.join(args.out, 'web_compare.png'))


if __name__ == '__main__':
    run_script(main)
