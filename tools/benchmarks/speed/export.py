# Copyright (c) orsa contributors. All rights reserved.
"""The work of ``tools/benchmarks/export.py``: exported files and eager."""
import argparse
import os.path as osp
from typing import Callable, Dict, List, Optional, Sequence

import numpy as np
import torch
from mmengine.registry import DATASETS
from sklearn.metrics import accuracy_score, recall_score

from orsa.apis.exporting import load_for_export
from orsa.deploy.export import LIMITS, export_model, reference_logits
from orsa.deploy.exported import load_exported
from orsa.deploy.sample_faces import crop_pipeline, crop_size, noise_faces
from orsa.utils.configs import scope_of
from orsa.utils.fileio import dump_json
from orsa.utils.tables import Table
from .clock import Clock
from .report import add_speed_arguments, run

EAGER = 'eager'
# variant: (file, precision)
VARIANTS = {
    'TorchScript': ('model.pt', 'fp32'),
    'torch.export': ('model.pt2', 'fp32'),
    'ONNX fp32': ('model.onnx', 'fp32'),
    'ONNX fp16': ('model_fp16.onnx', 'fp16'),
    'ONNX int8': ('model_int8.onnx', 'int8'),
}


def make_predict(config: str,
                 batch_size: int,
                 checkpoint: Optional[str] = None,
                 path: Optional[str] = None) -> Callable:
    """Prepare the prediction of a batch of images in memory.

    Args:
        config (str): As for :func:`orsa.apis.exporting.load_for_export`.
        batch_size (int): N.
        checkpoint (str, optional): Of the config. Defaults to None.
        path (str, optional): An exported file. Defaults to None, the eager
            model in float32.

    Returns:
        Callable: Predicts once, from (N, H, W, 3) uint8 to logits, and
        returns the seconds.
    """
    if path is None:
        model, _ = load_for_export(config, checkpoint, allow_untrained=True)
        size = crop_size(crop_pipeline(model.cfg))

        def predict(images: np.ndarray):
            batch = torch.from_numpy(images).permute(0, 3, 1, 2)
            data = model.data_preprocessor(dict(inputs=list(batch)), False)
            return model(data['inputs'], mode='tensor').numpy()
    else:
        exported = load_exported(path, run_code=True)
        size, predict = exported.image_size, exported.run
    images, clock = noise_faces(size, batch_size), Clock()

    def work() -> Dict[str, float]:
        with clock.stage('answer'), torch.no_grad():
            predict(images)
        return clock.read()

    return work


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the benchmark.

    Args:
        parser (argparse.ArgumentParser): Is changed.
    """
    parser.add_argument(
        'config',
        nargs='?',
        default='orsanet_lite',
        help='config file or model name')
    parser.add_argument(
        'checkpoint', nargs='?', help='default: random weights')
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument(
        '--files',
        required=True,
        metavar='DIR',
        help='folder of the exported files; missing ones are exported')
    parser.add_argument(
        '--accuracy',
        action='store_true',
        help='measure the accuracy of each on the test split')
    add_speed_arguments(parser, rounds=20)


def prepare_files(args: argparse.Namespace,
                  variants: Sequence[str]) -> Dict[str, str]:
    """Export the files of variants that are missing.

    Args:
        args (argparse.Namespace): See :func:`add_arguments`.
        variants (Sequence[str]): Of ``VARIANTS``.

    Returns:
        dict[str, str]: Path by variant.
    """
    paths = {}
    for name in variants:
        file, precision = VARIANTS[name]
        path = osp.join(args.files, file)
        if not osp.isfile(path):
            model, checkpoint = load_for_export(args.config, args.checkpoint,
                                                True)
            trained = checkpoint is not None
            # predictions of random weights are near ties: no parity limits
            parity = export_model(
                model,
                path,
                precision,
                checkpoint,
                limits=LIMITS[precision] if trained else (1., 0.))
            print(f'{name}: {parity}')
        paths[name] = path
    return paths


def accuracies(config: str, checkpoint: Optional[str],
               files: Dict[str, str]) -> List[dict]:
    """Measure the accuracy of each variant on the test split.

    Args:
        config (str): As for :func:`orsa.apis.exporting.load_for_export`.
        checkpoint (str, optional): Of the config.
        files (dict[str, str]): Path by variant.

    Returns:
        list[dict]: ``variant``, ``faces``, ``accuracy``, ``uar`` (mean of the
        classes' recalls), and ``equal``, the fraction of predictions that
        equal the eager model's.
    """
    model, _ = load_for_export(config, checkpoint)
    with scope_of(model.cfg):
        faces = DATASETS.build(model.cfg.test_dataloader.dataset)
    rows = [faces[i] for i in range(len(faces))]
    images = np.stack([r['inputs'].permute(1, 2, 0).numpy() for r in rows])
    labels = np.array([int(r['data_samples'].gt_label) for r in rows])
    outputs = {EAGER: reference_logits(model, images)}
    for name, path in files.items():
        exported = load_exported(path, run_code=True)
        outputs[name] = np.concatenate([
            exported.run(images[i:i + 32])['logits']
            for i in range(0, len(images), 32)
        ])
    eager = outputs[EAGER].argmax(1)
    return [
        dict(
            variant=name,
            faces=len(labels),
            accuracy=accuracy_score(labels, logits.argmax(1)),
            uar=recall_score(
                labels,
                logits.argmax(1),
                labels=np.unique(labels),
                average='macro'),
            equal=float((logits.argmax(1) == eager).mean()))
        for name, logits in outputs.items()
    ]


def benchmark(args: argparse.Namespace) -> None:
    """Time and test exported files.

    Args:
        args (argparse.Namespace): See :func:`add_arguments`.
    """
    chosen = [v for v in args.variants or VARIANTS if v in VARIANTS]
    files = prepare_files(args, chosen)
    shared = dict(
        config=args.config,
        checkpoint=args.checkpoint,
        batch_size=args.batch_size)
    variants = {EAGER: shared}
    variants.update((k, dict(shared, path=v)) for k, v in files.items())
    timings = run(
        args, 'speed.export:make_predict', variants, EAGER,
        f'{args.config} and its exported files, {args.batch_size} images')
    print('\n'.join(f'{name}: {osp.getsize(path) / 2**20:.2f} MiB, '
                    f'{args.batch_size / timings[name].median():.1f} images '
                    'per second' for name, path in files.items()))
    if args.accuracy:
        rows = accuracies(args.config, args.checkpoint, files)
        print('\n'.join([
            '', f'{rows[0]["faces"]} faces of the test split:', '',
            Table(['variant', 'accuracy', 'UAR', 'equal to eager'],
                  [[r['variant']] +
                   [f'{r[k]:.2%}' for k in ('accuracy', 'uar', 'equal')]
                   for r in rows]).markdown()
        ]))
        if args.json:
            path = osp.splitext(args.json)[0] + '_accuracy.json'
            dump_json(rows, path)
            print(f'wrote {path}')
