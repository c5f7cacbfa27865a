# Copyright (c) orsa contributors. All rights reserved.
"""The page works in Chromium as a visitor uses it."""
import csv
import re
import shutil
import urllib.request
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from orsa import web

sync_api = pytest.importorskip(
    'playwright.sync_api', reason='it is in requirements/tests.txt')

# gradio's queue uses what pandas is about to drop
pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning')

_NAMES = ('chromium', 'chromium-browser', 'google-chrome')
_FLAGS = ('--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
          '--disable-background-networking', '--disable-component-update',
          '--disable-sync', '--use-fake-ui-for-media-stream',
          '--use-fake-device-for-media-stream')
_WAIT = 120_000  # milliseconds
sync_api.expect.set_options(timeout=_WAIT)


class Visitor:
    """A browser's page, what it asked for and what it complained of."""

    def __init__(self, context, address):
        self.requests, self.complaints = [], []
        context.on('request', lambda r: self.requests.append(r.url))
        self.page = context.new_page()
        self.page.set_default_timeout(_WAIT)
        self.page.on('console', self._hear)
        self.page.on('pageerror', lambda e: self.complaints.append(str(e)))
        self.page.goto(address)
        self.page.wait_for_selector(
            '#orsa-upload input[type=file]', state='attached')

    def _hear(self, message):
        if message.type == 'error':
            self.complaints.append(f'{message.text} {message.location}')

    def upload(self, path):
        if self.page.locator('[aria-label="Remove Image"]').count():
            self.page.click('[aria-label="Remove Image"]')
            self.page.wait_for_selector('text=Drop an image here')
        self.page.set_input_files('#orsa-upload input[type=file]', str(path))

    def wait(self, text, where='body'):
        sync_api.expect(self.page.locator(where)).to_contain_text(
            text, timeout=_WAIT)

    def shown(self, where):
        """Scores of a table, a column for each bar, in whole percents."""
        rows = self.page.locator(f'{where} tr').all()
        return {
            row.locator('th').inner_text(): [
                int(s.rstrip('%'))
                for s in row.locator('span').all_inner_texts()
            ]
            for row in rows
        }


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    path = next((p for p in map(shutil.which, _NAMES) if p), None)
    if path is None:
        pytest.skip(f'there is no Chromium here ({", ".join(_NAMES)})')
    # what the camera sees: the surprised face
    face = cv2.imread(f'{web.__path__[0]}/example.jpg')[:, 640:]
    photo = np.full((480, 640, 3), 90, np.uint8)
    photo[80:400, 160:480] = face
    film = tmp_path_factory.mktemp('camera') / 'face.mjpeg'
    film.write_bytes(cv2.imencode('.jpg', photo)[1].tobytes() * 3)
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=path,
            headless=True,
            args=[*_FLAGS, f'--use-file-for-fake-video-capture={film}'])
        yield browser
        browser.close()


@pytest.fixture
def visitor(browser, served):
    with browser.new_context(
            viewport=dict(width=1280, height=900),
            permissions=['camera']) as context:
        yield Visitor(context, served.address)


def _percents(faces):
    """What the page should show of answers, class by class."""
    return {
        name: [round(100 * face.scores[name]) for face in faces]
        for name in faces[0].scores
    }


def test_an_image_is_named_occluded_and_compared(visitor, served, people):
    viewer, page = served.viewer, visitor.page
    look = viewer.find(str(people))
    visitor.upload(people)
    visitor.wait('3 faces found')
    visitor.wait(look.faces[0].expression, '#orsa-scores')
    assert visitor.shown('#orsa-scores') == _percents(look.faces[:1])
    for name in ('drawing', 'landmarks', 'parts', 'heat', 'covered'):
        image = page.locator(f'#orsa-{name} img')
        sync_api.expect(image).to_be_visible()
        page.wait_for_function(
            'i => i.naturalWidth > 100', arg=image.element_handle())
    # a click on the second face
    box = page.locator('#orsa-drawing img').bounding_box()
    face = look.faces[1]
    x, y = np.array(face.box).reshape(2, 2).mean(0)
    page.mouse.click(box['x'] + x * box['width'] / 960,
                     box['y'] + y * box['height'] / 320)
    visitor.wait(f'{face.expression}, {face.confidence:.0%}', '#orsa-scores')
    assert visitor.shown('#orsa-scores') == _percents([face])
    # other maps of where it looks
    heat = page.locator('#orsa-heat img')
    for label, said in (('image and masks', 'steered'), ('landmarks',
                                                         'landmark tokens')):
        was = heat.get_attribute('src')
        page.click(f'#orsa-map label:has-text("{label}")')
        visitor.wait(said, '#orsa-note')
        sync_api.expect(heat).not_to_have_attribute('src', was)
    before = visitor.shown('#orsa-first')
    # something else in front of it, and more of it
    page.click('#orsa-kind input')
    page.click('[role=option]:has-text("mask")')
    page.fill('#orsa-severity input[type=number]', '5')
    page.keyboard.press('Tab')
    image, fraction = viewer.occlude(face, 'mask', 5)
    visitor.wait(f'{fraction:.0%} of the face is occluded', '#orsa-change')
    for name, where in (('orsa'
                         'net_lite', '#orsa-first'), ('baseline',
                                                      '#orsa-second-bars')):
        visitor.wait(name, where)
        said = viewer.predict(name, [face.crop, image])
        assert visitor.shown(where) == _percents(said)
    assert visitor.shown('#orsa-first') != before
    # moved to where it covers nothing
    page.focus('#orsa-severity input[type=range]')
    for _ in range(5):
        page.keyboard.press('ArrowLeft')
    sync_api.expect(page.locator('#orsa-change')).to_contain_text(
        re.compile(r'(^|\D)0% of the face is occluded'))
    shown = visitor.shown('#orsa-first')
    assert all(a == b for a, b in shown.values())
    # without the second model
    page.click('#orsa-second input')
    page.click('[role=option]:has-text("none")')
    sync_api.expect(page.locator('#orsa-second-bars table')).to_have_count(0)
    assert not visitor.complaints


def test_results_are_saved(visitor, served, people, tmp_path):
    visitor.upload(people)
    visitor.wait('3 faces found')
    saved = {}
    for name in ('picture', 'table'):
        with visitor.page.expect_download() as download:
            visitor.page.click(f'#orsa-save-{name}')
        saved[name] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[name])
    assert [p.suffix for p in saved.values()] == ['.jpg', '.csv']
    look = served.viewer.find(str(people))
    drawn = cv2.imread(str(saved['picture'])).astype(int)
    assert np.abs(drawn - look.drawing).mean() < 4
    with open(saved['table'], newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(r['face'], r['expression']) for r in rows] == [
        (str(k), face.expression) for k, face in enumerate(look.faces, 1)
    ]
    assert not visitor.complaints


def test_a_phone_shows_the_result_first(browser, served, people):
    """The faces are on the first screen, and nothing is wider than it."""
    with browser.new_context(
            viewport=dict(width=390, height=844), is_mobile=True,
            has_touch=True) as context:
        visitor = Visitor(context, served.address)
        visitor.upload(people)
        visitor.wait('3 faces found')
        visitor.wait('%', '#orsa-scores')
        visitor.page.wait_for_timeout(300)
        box = visitor.page.locator('#orsa-drawing img').bounding_box()
        scrolled = visitor.page.evaluate('window.scrollY')
        assert 0 <= box['y'] and box['y'] + box['height'] <= 844, scrolled
        assert visitor.page.evaluate(
            'document.documentElement.scrollWidth') <= 390


def test_unreadable_files_are_reported_and_the_page_goes_on(
        visitor, people, tmp_path):
    page = visitor.page
    broken = tmp_path / 'broken <b>.jpg'
    broken.write_bytes(people.read_bytes()[:500])
    visitor.upload(broken)
    visitor.wait('damaged', '[role=alert]')
    assert 'cannot be read' in page.inner_text('#orsa-message')
    assert not page.locator('#orsa-scores table').is_visible()
    nobody = tmp_path / 'nobody.png'
    cv2.imwrite(str(nobody), np.full((200, 300, 3), 120, np.uint8))
    visitor.upload(nobody)
    visitor.wait('No face was found in “nobody.png”', '[role=alert]')
    page.click('#orsa-aligned input')
    visitor.wait('300 × 200 pixels', '[role=alert]')
    page.click('#orsa-aligned input')
    large = tmp_path / 'large.png'
    large.write_bytes(b'\0' * (101 * 2**20))
    visitor.upload(large)
    visitor.wait('maximum allowed size')
    # as if nothing had been
    visitor.page.reload()
    visitor.upload(people)
    visitor.wait('3 faces found')
    visitor.wait('surprise', '#orsa-scores')


def test_the_camera_and_the_synthetic_faces(visitor):
    page = visitor.page
    page.click('[aria-label="Capture from camera"]')
    page.click('text=Click to Access Webcam')
    # a click before the camera's first picture takes none
    page.wait_for_function('''() => {
        const video = document.querySelector('#orsa-upload video');
        return video && video.readyState >= 2 && video.videoWidth > 0;
    }''')
    page.click('[aria-label="capture photo"]')
    visitor.wait('1 face found')
    visitor.wait('surprise', '#orsa-scores')
    page.click('#orsa-example')
    visitor.wait('3 faces found')


def test_nothing_is_asked_of_others(browser, served, people):
    """By the browser, in all that a visit loads, nor by the server."""
    with browser.new_context(viewport=dict(width=1280, height=900)) as context:
        visitor = Visitor(context, served.address)
        visitor.upload(people)
        visitor.wait('is occluded', '#orsa-change')
        visitor.page.wait_for_timeout(500)  # for what comes late
        hosts = {
            urlsplit(u).netloc
            for u in visitor.requests if not u.startswith(('data:', 'blob:'))
        }
        assert hosts == {urlsplit(served.address).netloc}
        # the policy would have stopped it: nothing was
        assert not visitor.complaints
        # and what a script asks for itself does not leave the browser
        stopped = visitor.page.evaluate(
            "fetch('http://localhost:9/').then(() => 'sent', "
            "() => 'stopped')")
        assert stopped == 'stopped'
        assert any('Content Security Policy' in c for c in visitor.complaints)
    # the server is heard when it, or this test, connects to something
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    direct.open(served.address).close()
    assert any('127.0.0.1' in str(a) for a in served.asked)
    away = [
        a for a in served.asked if
        not re.match(r"\('?(127\.0\.0\.1|localhost|b'127|::1)|/|b'/", str(a))
    ]
    assert not away


def test_it_fits_phones_and_screens(browser, served, people):
    with browser.new_context(
            viewport=dict(width=390, height=850),
            color_scheme='dark') as context:
        visitor = Visitor(context, served.address)
        page = visitor.page
        visitor.upload(people)
        visitor.wait('is occluded', '#orsa-change')
        for width in (390, 1280):
            page.set_viewport_size(dict(width=width, height=850))
            page.wait_for_timeout(300)
            size = page.evaluate('document.documentElement.scrollWidth')
            assert size <= width
            # nothing is squeezed: pictures keep their shape, words are in
            # sight
            for name in ('landmarks', 'parts', 'heat', 'covered'):
                box = page.locator(f'#orsa-{name} img').bounding_box()
                assert box['width'] == pytest.approx(box['height'], rel=.02)
                assert box['width'] > 90
            for cell in page.locator('.orsa-bars th').all():
                box = cell.bounding_box()
                assert box['x'] >= 0 and box['x'] + box['width'] < width
