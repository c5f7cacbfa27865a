# Copyright (c) orsa contributors. All rights reserved.
"""orsa beside other libraries: right answers, time, memory.

Each library runs in a Python of its own, which may have nothing of orsa:
  python -m venv /tmp/fer && /tmp/fer/bin/pip install fer "opencv-python<5"
  python tools/benchmarks/peers.py --peer fer=/tmp/fer/bin/python \\
      --photographs 'data/300w/helen/testset/*.jpg'
"""
import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile
import time

# the names of fer in the words of orsa
_FER = dict(
    angry='anger',
    disgust='disgust',
    fear='fear',
    happy='happiness',
    sad='sadness',
    surprise='surprise',
    neutral='neutral')


class Orsa:
    """The model that ships, as ``orsa predict`` runs it."""

    def __init__(self):
        from orsa import FERInferencer
        self.inferencer = FERInferencer()

    def faces(self, paths):
        """An expression for each aligned face."""
        found = self.inferencer(paths, aligned=True)['predictions']
        return [one.faces[0].expression for one in found]

    def photograph(self, path):
        """The expressions of all faces in a photograph."""
        found = self.inferencer(path)['predictions'][0]
        return [face.expression for face in found.faces]


class Fer:
    """https://github.com/JustinShenk/fer, with the cascade that it takes."""

    def __init__(self):
        import cv2
        from fer.fer import FER
        self.read, self.photographs = cv2.imread, FER()
        # it adds ten pixels around a box, which a face of 48 has not
        self.aligned = FER(offsets=(0, 0))

    @staticmethod
    def _names(model, image, boxes=None):
        found = model.detect_emotions(image, face_rectangles=boxes)
        return [_FER[max(f['emotions'], key=f['emotions'].get)] for f in found]

    def faces(self, paths):
        names = []
        for path in paths:
            image = self.read(path)
            height, width = image.shape[:2]
            box = (0, 0, width, height)
            names += self._names(self.aligned, image, [box]) or [None]
        return names

    def photograph(self, path):
        return self._names(self.photographs, self.read(path))


PEERS = dict(orsa=Orsa, fer=Fer)


def run(name: str, task: str, out: str) -> None:
    """Do a task in the library's own Python; write what came of it."""
    with open(task, encoding='utf-8') as file:
        task = json.load(file)
    peer = PEERS[name]()
    peer.photograph(task['photographs'][0])
    # with the start of Python and its imports
    result = dict(start=time.process_time())
    with open('/proc/self/status', encoding='utf-8') as file:
        peak = next(line for line in file if line.startswith('VmHWM'))
    result['memory'] = int(peak.split()[1]) / 1024
    begin = time.process_time()
    found = [peer.photograph(path) for path in task['photographs']]
    result['photograph'] = (time.process_time() - begin) / len(found)
    result['found'] = sum(map(len, found))
    for key, paths in task['faces'].items():
        begin = time.process_time()
        result[key] = peer.faces(paths)
        result[f'{key}/seconds'] = (time.process_time() - begin) / len(paths)
    with open(out, 'w', encoding='utf-8') as file:
        json.dump(result, file)


def labelled_faces() -> dict:
    """Paths and names of the test faces of both datasets."""
    from orsa.datasets import RAFDB, FERPlus
    sets = {
        'press faces':
        RAFDB(os.environ.get('ORSA_RAFDB', 'data/press_faces/'), split='test'),
        'FER+':
        FERPlus(
            os.environ.get('ORSA_FERPLUS', 'data/ferplus/'),
            split='test',
            vote_rule='filtered')
    }
    return {
        title: [(faces.get_data_info(i)['img_path'],
                 faces.metainfo['classes'][faces.get_data_info(i)['gt_label']])
                for i in range(len(faces))]
        for title, faces in sets.items()
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--peer', action='append', default=[], metavar='NAME=PYTHON')
    parser.add_argument('--photographs', required=True, metavar='PATTERN')
    parser.add_argument('--rounds', type=int, default=3)
    args = parser.parse_args()
    from orsa.utils.tables import Table
    peers = dict([('orsa', sys.executable)] +
                 [tuple(one.split('=', 1)) for one in args.peer])
    faces = labelled_faces()
    task = dict(
        photographs=sorted(glob.glob(args.photographs))[:50],
        faces={
            k: [path for path, _ in v]
            for k, v in faces.items()
        })
    table = Table([
        'library', *(f'{title}, right of {len(v)}'
                     for title, v in faces.items()), 'ms a face',
        'ms a photograph', 'faces found', 's to the first answer', 'MiB'
    ], [])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'task.json')
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(task, file)
        results = {name: [] for name in peers}
        for _ in range(args.rounds):  # in turn
            for name, python in peers.items():
                out = os.path.join(folder, 'out.json')
                subprocess.run([
                    python,
                    os.path.abspath(__file__), '--run', name, path, out
                ],
                               check=True)
                with open(out, encoding='utf-8') as file:
                    results[name].append(json.load(file))
    for name, rounds in results.items():
        right = [
            100 * sum(a == b
                      for a, (_, b) in zip(rounds[0][title], v)) / len(v)
            for title, v in faces.items()
        ]
        best = {
            key: min(one[key] for one in rounds)
            for key in ('start', 'memory', 'photograph', 'FER+/seconds')
        }
        table.rows.append([
            name, *(f'{share:.1f}'
                    for share in right), f'{1e3 * best["FER+/seconds"]:.0f}',
            f'{1e3 * best["photograph"]:.0f}', rounds[0]['found'],
            f'{best["start"]:.1f}', f'{best["memory"]:.0f}'
        ])
    print(table.markdown())


if __name__ == '__main__':
    if sys.argv[1:2] == ['--run']:  # where there may be nothing of orsa
        run(*sys.argv[2:])
        sys.exit()
    from orsa.utils.command import run_script
    run_script(main)
