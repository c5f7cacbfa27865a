# Copyright (c) orsa contributors. All rights reserved.
"""How well the priors notice what is in front of a face."""
import argparse
import os.path as osp
from typing import Dict, List, Optional, Sequence, Tuple

import cv2
import numpy as np
import torch.nn as nn
from mmengine.config import Config
from mmengine.registry import DATASETS

from orsa.apis.inference import batch_locator, predict_faces
from orsa.apis.model import init_model
from orsa.datasets.face_parsing import read_occlusions
from orsa.datasets.images import find_images
from orsa.datasets.text_files import read_lines
from orsa.evaluation.calibration import Calibration
from orsa.faces.align import align_faces
from orsa.faces.images import read_image
from orsa.utils.configs import scope_of, split_pipeline
from orsa.utils.face_regions import FACE_PALETTE
from orsa.utils.fileio import dump_json, write_text
from orsa.utils.tables import Table, number
from orsa.visualization import draw_occluder_grid
from .calibrate import compare_fractions, predict_held_out
from .inputs import analysis_parser, read_config

TYPES = {
    1: 'glasses',
    2: 'sunglasses',
    3: 'hand or object',
    4: 'headwear',
    5: 'hair'
}
NOTHING, TOGETHER = 'nothing', 'all but glasses'
_REPEATS = 2000


def add_awareness_arguments(description: str) -> argparse.ArgumentParser:
    """A parser with the arguments of the command."""
    parser = analysis_parser(description)
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='of the complete model (default: the priors of the config)')
    parser.add_argument(
        '--types',
        default='occlusion_test.txt',
        help="list of really occluded faces, a line 'name label type', below "
        'data_root or elsewhere (default: %(default)s)')
    parser.add_argument(
        '--photographs',
        nargs=2,
        action='append',
        default=[],
        metavar=('NAME', 'PATH'),
        help='more faces of one type: a folder, or a text file of paths')
    parser.add_argument('--out', help='folder for JSON, table and images')
    return parser


def run_awareness(args: argparse.Namespace) -> dict:
    """Measure by parsed arguments, print and write the results."""
    cfg = read_config(args)
    model = init_model(cfg, args.checkpoint)
    if getattr(model.backbone, 'parsing_prior', None) is None:
        raise ValueError(f"the model of '{args.config}' has no parsing_prior, "
                         'whose masks are measured')
    if args.checkpoint is None:
        model.init_weights()
    names, images, types = listed_faces(cfg, args.types)
    for kind, path in args.photographs:
        more = photographs(model, path)
        images += more.values()
        names += more
        types += [kind] * len(more)
    if predict_faces(model, images[:1])[0].covered is None:
        raise ValueError(f"the model of '{args.config}' has no landmark_prior "
                         'of 68 points, which the occluded fraction of a face '
                         'is measured by')
    found = predict_faces(model, images)
    covered = [face.covered for face in found]
    # against the true fraction of drawn occluders, as it is measured
    held_out = predict_held_out(model, cfg, allow_test=True)
    drawn = compare_fractions(held_out, Calibration())
    del drawn['table']  # of accuracy, which is not meant here
    result = dict(
        faces=len(names),
        types=auc_by_type(covered, types),
        drawn=dict(drawn, faces=len(held_out['clean']['labels'])))
    print(describe(result))
    if args.out:
        dump_json(
            dict(
                result,
                config=cfg.filename,
                checkpoint=args.checkpoint,
                covered=dict(zip(names,
                                 np.round(covered, 4).tolist()))),
            osp.join(args.out, 'occlusion_awareness.json'))
        write_text(
            osp.join(args.out, 'occlusion_awareness.md'), describe(result))
        draw_sheet(covered, types, images, [face.parsing for face in found],
                   osp.join(args.out, 'occlusion_awareness.png'))
    return result


def listed_faces(cfg: Config,
                 path: str) -> Tuple[List[str], List[np.ndarray], List[str]]:
    """Faces of ``test_dataloader`` with what is in front of each.

    Args:
        cfg (Config): The experiment.
        path (str): A list of the occluded ones, with RAN's types.

    Returns:
        tuple[list, list, list]: Names, images (H, W, 3) BGR uint8, and types:
        a value of ``TYPES`` or 'nothing'. Lines of faces that are not among
        them are counted.

    Raises:
        ValueError: If a line has no type.
    """
    dataset_cfg = cfg.test_dataloader.dataset.copy()
    dataset_cfg.pipeline = split_pipeline(dataset_cfg.pipeline).load
    with scope_of(cfg):
        dataset = DATASETS.build(dataset_cfg)
    path = osp.expanduser(path)
    if not osp.exists(path):
        path = osp.join(dataset_cfg.get('data_root', ''), path)
    types = {
        dataset.sample_name(name): TYPES[kind]
        for name, kind in read_occlusions(path).items()
    }
    samples = [dataset[i] for i in range(len(dataset))]
    names = [sample['name'] for sample in samples]
    others = len(types.keys() - set(names))
    if others:
        print(f"{others} lines of '{path}' are of other faces")
    return names, [sample['img'] for sample in samples
                   ], [types.get(name, NOTHING) for name in names]


def photographs(model: nn.Module, path: str) -> Dict[str, np.ndarray]:
    """Photographs of one face each, aligned by the model's landmarks.

    Args:
        model (nn.Module): As of :func:`orsa.apis.init_model`.
        path (str): A folder, or a text file with a path on each line, without
            a suffix too, that counts from the file's ``images`` folder.

    Returns:
        dict[str, np.ndarray]: Aligned faces (128, 128, 3) by path.

    Raises:
        FileNotFoundError: If a listed photograph is missing.
    """
    if osp.isdir(path):
        files = [osp.join(path, name) for name in find_images(path)[0]]
    else:
        folder = osp.join(osp.dirname(path), 'images')
        known = {
            osp.splitext(name)[0]: osp.join(folder, name)
            for name in find_images(folder)[0]
        }
        files = []
        for row, line in read_lines(path):
            name = osp.splitext(line)[0]
            if name not in known:
                raise FileNotFoundError(
                    f"{path}:{row}: '{line[:100]}' is not among the "
                    f"{len(known)} images of '{folder}'")
            files.append(known[name])
    images = [read_image(file) for file in files]
    faces = align_faces(images, [None] * len(images), batch_locator(model))
    return dict(zip(files, [face for face, _ in faces]))


def auc_by_type(covered: Sequence[float],
                types: Sequence[str]) -> Dict[str, dict]:
    """Areas under the ROC curve of occluded faces against the others.

    Args:
        covered (Sequence[float]): The measured occluded fraction of each face.
        types (Sequence[str]): What is in front of it.

    Returns:
        dict[str, dict]: By type, and of all but glasses together: ``faces``,
        ``mean`` of the fraction, ``auc`` and its 95% interval by bootstrap.
    """
    covered, types = np.asarray(covered), np.asarray(types)
    clear = covered[types == NOTHING]
    groups = {
        kind: covered[types == kind]
        for kind in dict.fromkeys([*TYPES.values(), *types])
        if (types == kind).any() and kind != NOTHING
    }
    real = [kind for kind in groups if kind != list(TYPES.values())[0]]
    groups[TOGETHER] = np.concatenate([groups[kind] for kind in real] or [[]])
    result = {NOTHING: dict(faces=len(clear), mean=float(clear.mean()))}
    for kind, values in groups.items():
        if len(values):
            auc, low, high = _auc(values, clear)
            result[kind] = dict(
                faces=len(values),
                mean=float(values.mean()),
                auc=auc,
                interval=[low, high])
    return result


def _auc(occluded: np.ndarray,
         clear: np.ndarray) -> Tuple[float, float, float]:
    # of each pair whether it is in order, a tie being half; the area is the
    # mean, and a bootstrap sample weighs rows and columns
    pairs = (occluded[:, None] > clear) + .5 * (occluded[:, None] == clear)
    rng = np.random.default_rng(0)
    rows, columns = (
        rng.multinomial(n, np.full(n, 1 / n), _REPEATS) / n
        for n in pairs.shape)
    areas = ((rows @ pairs) * columns).sum(1)
    low, high = np.percentile(areas, (2.5, 97.5))
    return float(pairs.mean()), float(low), float(high)


def draw_sheet(covered: Sequence[float],
               types: Sequence[str],
               images: Sequence[np.ndarray],
               masks: Sequence[Optional[np.ndarray]],
               out: str,
               count: int = 12) -> None:
    """Draw what is noticed best and worst, with the parser's masks.

    Args:
        covered (Sequence[float]): The measured occluded fraction of each face.
        types (Sequence[str]): What is in front of it.
        images (Sequence[np.ndarray]): The faces, BGR uint8.
        masks (Sequence[np.ndarray]): The class of each of their pixels.
        out (str): The PNG to write.
        count (int): Faces in a row. Defaults to 12.
    """
    order = np.argsort(covered)
    occluded = [i for i in order if types[i] not in (NOTHING, TYPES[1])]
    clear = [i for i in order if types[i] == NOTHING]
    count = min(count, len(occluded), len(clear))
    rows = [('occluded, missed', occluded[:count]),
            ('occluded, noticed', occluded[::-1][:count]),
            ('clear, false alarm', clear[::-1][:count]),
            ('clear, right', clear[:count])]
    palette = np.array(FACE_PALETTE, np.uint8)[:, ::-1]
    strips = []
    for title, chosen in rows:
        strips.append((title, [(images[i], covered[i]) for i in chosen]))
        strips.append(
            ('its mask', [(cv2.addWeighted(images[i], .35, palette[masks[i]],
                                           .65, 0), covered[i])
                          for i in chosen]))
    draw_occluder_grid(strips, out)


def describe(result: dict) -> str:
    """The results as a table in Markdown, and a line on drawn occluders."""
    table = Table(
        ['occluder', 'faces', 'occluded fraction', 'AUC', '95%'],
        [[
            kind, one['faces'], f'{one["mean"]:.2f}', f'{one["auc"]:.3f}',
            '{:.3f} to {:.3f}'.format(*one['interval'])
        ] if 'auc' in one else
         [kind, one['faces'], f'{one["mean"]:.2f}', None, None]
         for kind, one in result['types'].items()])
    drawn = result['drawn']
    every, occluded = (
        number(drawn[name], '.2f')
        for name in ('correlation', 'correlation_occluded'))
    return (
        f'{table.markdown()}\n\nDrawn occluders on {drawn["faces"]} faces: '
        f'r {every} with the true fraction (of occluded faces {occluded}), '
        f'mean error {drawn["mean_error"]:.3f}')
