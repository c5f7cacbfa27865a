# Copyright (c) orsa contributors. All rights reserved.
"""Tables, differences and pictures of a study, see :mod:`.ablation`."""
import json
import os
import os.path as osp
from functools import lru_cache, partial
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from orsa.apis.model import build_model
from orsa.evaluation import FERMetric
from orsa.utils.fileio import dump_json, write_csv, write_text
from orsa.utils.markdown import markdown_table
from orsa.visualization import plot_robustness
from .ablation import Run, Study, predict, test_faces
from .complexity import time_in_turn
from .occlusion_metrics import CLEAN, FIGURES

OCCLUDED = 'occluded'
BATCH = 32


def read_results(study: Study, runs: Sequence[Run]) -> Dict[str, List[dict]]:
    """The stored results of each variant, with what was said of every face.

    Under cross validation the folds of a seed are put together: their faces
    are the training split's, each once.

    Returns:
        dict: variant -> one dict per seed with ``metrics``, ``scores`` and
        ``labels`` (by condition), ``parameters``, ``seconds``, ``num_runs``.
    """
    found: Dict[str, Dict[int, List[dict]]] = {}
    for run in runs:
        result = study.stored(run)
        if result is None:
            continue
        with np.load(study.result_file(run).replace('.json', '.npz')) as said:
            result['said'] = dict(said)
        found.setdefault(run.variant, {}).setdefault(run.seed,
                                                     []).append(result)
    return {
        variant: [_merge(study, results) for results in seeds.values()]
        for variant, seeds in found.items()
    }


def _merge(study: Study, results: List[dict]) -> dict:
    merged = dict(
        parameters=results[0]['parameters'],
        seconds=max(r['seconds'] for r in results),
        num_runs=len(results),
        metrics={},
        scores={},
        labels={})
    for name in results[0]['metrics']:
        scores, labels = (
            np.concatenate([r['said'][f'{name}/{what}'] for r in results])
            for what in ('scores', 'labels'))
        merged['scores'][name] = scores.astype(np.float32)
        merged['labels'][name] = labels
        # in float16 the scores no longer sum to one exactly
        report = FERMetric.calculate(scores.argmax(1), labels)
        merged['metrics'][name] = {k: report[k] for k in FIGURES}
    levels = [f'severity {s}' for s in study.cfg.severities]
    merged['metrics'][OCCLUDED] = {
        k: float(np.mean([merged['metrics'][s][k] for s in levels]))
        for k in FIGURES
    } if levels else {}
    return merged


def mean_and_spread(seeds: List[dict], condition: str,
                    figure: str) -> Tuple[float, Optional[float]]:
    """Mean over seeds and their standard deviation, None for one seed."""
    values = [s['metrics'][condition][figure] for s in seeds]
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return float(np.mean(values)), spread


def paired_difference(first: List[dict],
                      second: List[dict],
                      names: Sequence[str],
                      figure: str = 'uar',
                      repeats: int = 1000,
                      seed: int = 0) -> Tuple[float, float, float]:
    """How much better the first is, with a paired bootstrap interval.

    Faces are drawn with replacement, the same for both variants, all seeds
    and all conditions; the figure is averaged over seeds and conditions.

    Args:
        first (list[dict]): Seeds of a variant, see :func:`read_results`.
        second (list[dict]): Of another one.
        names (Sequence[str]): The conditions, of the same faces.
        figure (str): 'accuracy' or 'uar'. Defaults to 'uar'.
        repeats (int): Bootstrap samples. Defaults to 1000.
        seed (int): Of the drawing. Defaults to 0.

    Returns:
        tuple[float, float, float]: The difference in points and the limits
        of its 95% interval.
    """
    labels = first[0]['labels'][names[0]]
    right = [
        np.stack([
            s['scores'][n].argmax(1) == s['labels'][n] for s in seeds
            for n in names
        ]).mean(0) for seeds in (first, second)
    ]
    gain = right[0] - right[1]  # of each face, in [-1, 1]
    if figure == 'accuracy':
        labels = np.zeros_like(labels)  # one class has all
    of_class = np.eye(labels.max() + 1)[labels]  # (N, C)

    def figures(times: np.ndarray) -> np.ndarray:
        """Of samples that have every face so many times, (repeats, N)."""
        counts = times @ of_class
        with np.errstate(invalid='ignore'):
            gains = times @ (of_class * gain[:, None]) / counts
        return np.nanmean(gains, axis=1) * 100

    low, high = np.percentile(
        figures(_draw_faces(len(labels), repeats, seed)), (2.5, 97.5))
    value = figures(np.ones((1, len(labels))))[0]
    return float(value), float(low), float(high)


@lru_cache(maxsize=1)
def _draw_faces(num_faces: int, repeats: int, seed: int) -> np.ndarray:
    """How often each face is drawn, with replacement, (repeats, N).

    The last ones are kept: a comparison asks for the same in every condition.
    """
    rng = np.random.default_rng(seed)
    times = np.empty((repeats, num_faces), np.float32)
    for row in times:
        row[:] = np.bincount(
            rng.integers(0, num_faces, num_faces), minlength=num_faces)
    return times


def _cell(value: float, spread: Optional[float]) -> str:
    return f'{value:.1f}' if spread is None else f'{value:.1f} ± {spread:.1f}'


def _interval(value: float, low: float, high: float) -> str:
    return f'{value:+.1f} ({low:+.1f}, {high:+.1f})'


def markdown(study: Study, results: Dict[str, List[dict]],
             differences: Dict[str, dict], latency: Dict[str, float],
             cv: bool) -> str:
    """The report as a page."""
    subsets = [] if cv else list(study.cfg.subsets)
    head = [
        'variant', 'M trained', 'ms a face', 'acc', 'UAR', 'F1',
        'occluded acc', 'UAR', *(f'{s} UAR' for s in subsets), 'UAR gained',
        'occluded', *subsets
    ]
    columns = [(CLEAN, f) for f in FIGURES]
    columns += [(OCCLUDED, f) for f in FIGURES[:2]]
    columns += [(s, 'uar') for s in subsets]
    rows = []
    for variant, info in study.cfg.variants.items():
        seeds = results.get(variant)
        if not seeds:
            rows.append([info.title, 'not run'] + [''] * (len(head) - 2))
            continue
        gains = differences.get(variant, {})
        rows.append([
            info.title, f"{seeds[0]['parameters']['trained'] / 1e6:.2f}",
            f'{latency[variant]:.2f}',
            *(_cell(*mean_and_spread(seeds, *column)) for column in columns),
            *(_interval(*gains[kind]) if kind in gains else ''
              for kind in (CLEAN, OCCLUDED, *subsets))
        ])
    levels = [f'severity {s}' for s in study.cfg.severities]
    by_level = [[
        study.cfg.variants[variant].title,
        *(_cell(*mean_and_spread(seeds, name, 'uar'))
          for name in (CLEAN, *levels))
    ] for variant, seeds in results.items()]
    longest = max(s['seconds'] for seeds in results.values() for s in seeds)
    command = f"python tools/ablate.py {study.path}{' --cv' if cv else ''}"
    return '\n'.join([
        f'# {study.cfg.title}', '',
        _conditions_in_words(study, results,
                             cv), '', *markdown_table(head, rows), '',
        'UAR by severity:', '', *markdown_table(
            ['variant', 'clean', *map(str, study.cfg.severities)], by_level),
        '', f'The longest training took {longest} s of the '
        f'{study.cfg.time_limit} s that the study allows, one thread each. '
        f'Made by `{command}`.', ''
    ])


def _conditions_in_words(study: Study, results: Dict[str, List[dict]],
                         cv: bool) -> str:
    seeds = max(len(found) for found in results.values())
    where = f'The test split, {seeds} seed{"s" if seeds > 1 else ""}'
    if cv:
        folds = max(s['num_runs'] for found in results.values() for s in found)
        where = (f'Cross validation inside the training split, {folds} of '
                 f'{study.cfg.num_folds} folds')
    title = study.cfg.variants[study.cfg.reference].title
    return (
        f'{where}; mean ± standard deviation over seeds, in percent. '
        f'Occluded: the mean of {len(study.cfg.severities)} severities of '
        f"`orsa.OccludeFace`. Gained: the difference to '{title}' in points, "
        'with a 95% interval of the paired bootstrap over faces. ms a face: '
        f'{BATCH} faces at once, one thread, median, all variants in turn.')


def time_per_face(study: Study,
                  variants: Sequence[str],
                  rounds: int = 9) -> Dict[str, float]:
    """Milliseconds a face takes, in batches of ``BATCH`` on one thread.

    The variants take turns, so that what else the machine does meets all of
    them; the median counts.

    Args:
        study (Study): The study.
        variants (Sequence[str]): Its variants to time.
        rounds (int): Batches of each. Defaults to 9.

    Returns:
        dict[str, float]: Milliseconds by variant.
    """
    calls, faces = {}, {}
    for variant in variants:
        cfg = study.load(Run(variant))
        model = build_model(cfg, pretrained=False).eval()
        faces[variant] = test_faces(study, cfg, 0)['inputs'][:BATCH]
        calls[variant] = partial(predict, model, faces[variant], BATCH)
    seconds = time_in_turn(calls, rounds)
    return {v: 1e3 * s / len(faces[v]) for v, s in seconds.items()}


def write_report(study: Study,
                 runs: Sequence[Run],
                 out: str,
                 cv: bool = False) -> None:
    """Write ``NAME.json``, ``.csv``, ``.md`` and ``.png`` of what is there."""
    results = read_results(study, runs)
    if not results:
        print('there is no result to report yet')
        return
    levels = [f'severity {s}' for s in study.cfg.severities]
    reference = results.get(study.cfg.reference)
    subsets = [] if cv else list(study.cfg.subsets)
    kinds = {CLEAN: [CLEAN], OCCLUDED: levels, **{s: [s] for s in subsets}}
    latency = time_per_face(study, list(results))
    differences = {
        variant: {
            kind: paired_difference(seeds, reference, names)
            for kind, names in kinds.items() if names
        }
        for variant, seeds in results.items()
        if reference and variant != study.cfg.reference
    }
    os.makedirs(out, exist_ok=True)
    name = osp.splitext(osp.basename(study.path))[0] + ('_cv' if cv else '')
    base = osp.join(out, name)
    table = {
        variant: [{
            k: s[k]
            for k in ('metrics', 'parameters', 'seconds', 'num_runs')
        } for s in seeds]
        for variant, seeds in results.items()
    }
    dump_json(
        dict(
            study=study.path,
            results=table,
            differences=differences,
            ms_per_face=latency), base + '.json')
    rows = [[variant, number, condition] +
            [round(figures[k], 3) for k in FIGURES if k in figures]
            for variant, seeds in results.items()
            for number, seed in enumerate(seeds)
            for condition, figures in seed['metrics'].items()]
    write_csv(base + '.csv',
              [['variant', 'seed', 'condition', *FIGURES]] + rows)
    write_text(base + '.md', markdown(study, results, differences, latency,
                                      cv))
    if levels:
        plot_robustness(
            {
                study.cfg.variants[variant].title:
                np.array([[s['metrics'][c]['uar'] for c in (CLEAN, *levels)]
                          for s in seeds])
                for variant, seeds in results.items()
            }, [0, *study.cfg.severities],
            base + '.png',
            title=study.cfg.title)
    print(f'wrote {base}.md, .json, .csv and .png')
    print(json.dumps(differences, indent=1))
