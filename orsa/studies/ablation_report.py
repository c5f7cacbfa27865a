# Copyright (c) orsa contributors. All rights reserved.
"""Tables and figure of an ablation study, see :mod:`.ablation`."""
import os.path as osp
from typing import Dict, List, Tuple

import numpy as np
from mmengine.config import Config

from orsa.evaluation.predictions import CLEAN
from orsa.evaluation.statistics import mean_and_spread, paired_difference
from orsa.utils.tables import Table, with_interval, with_spread
from orsa.visualization import plot_robustness
from . import report
from .occlusion_metrics import METRICS
from .report import Section

OCCLUDED = 'occluded'
BATCH = 32
Results = Dict[str, List[dict]]
Differences = Dict[str, Dict[str, Tuple[float, float, float]]]


def _compare(cfg: Config, results: Results,
             conditions: Dict[str, List[str]]) -> Differences:
    """The differences in UAR to the reference, with their intervals."""
    reference = results.get(cfg.reference)
    if reference is None:
        return {}

    def correct(seeds: List[dict], names: List[str]) -> np.ndarray:
        return np.stack(
            [np.mean([s['correct'][n] for n in names], axis=0) for s in seeds])

    return {
        variant: {
            kind:
            paired_difference(
                correct(seeds, names),
                correct(reference, names),
                seeds[0]['labels'][names[0]],
                over_runs=True)
            for kind, names in conditions.items()
        }
        for variant, seeds in results.items() if variant != cfg.reference
    }


def _sections(cfg: Config, command: str, results: Results,
              differences: Differences, ms_per_face: Dict[str, float],
              cv: bool) -> List[Section]:
    """The report."""
    subsets = [] if cv else list(cfg.subsets)
    levels = [f'severity {s}' for s in cfg.severities]

    def cell(seeds: List[dict], condition: str, metric: str = 'uar') -> str:
        return with_spread(
            *mean_and_spread([s['metrics'][condition][metric] for s in seeds]))

    columns = [(CLEAN, m) for m in METRICS]
    columns += [(OCCLUDED, m) for m in METRICS[:2]] if levels else []
    columns += [(s, 'uar') for s in subsets]
    compared = [CLEAN, *([OCCLUDED] if levels else []), *subsets]
    head = ['variant', 'M trained', 'ms a face', 'acc', 'UAR', 'F1']
    head += ['occluded acc', 'UAR'] if levels else []
    head += [f'{s} UAR' for s in subsets] + ['UAR gained', *compared[1:]]
    rows = []
    for variant, info in cfg.variants.items():
        seeds, gains = results.get(variant), differences.get(variant, {})
        if not seeds:
            rows.append([info.title, 'not run'] + [''] * (len(head) - 2))
            continue
        rows.append([
            info.title, f"{seeds[0]['parameters']['trained'] / 1e6:.2f}",
            f'{ms_per_face[variant]:.2f}', *(cell(seeds, *column)
                                             for column in columns),
            *(with_interval(*gains[k]) if k in gains else '' for k in compared)
        ])
    by_level = [[
        cfg.variants[variant].title, *(cell(seeds, name)
                                       for name in (CLEAN, *levels))
    ] for variant, seeds in results.items()]
    longest = max((s['seconds'] for seeds in results.values()
                   for s in seeds if s['seconds']),
                  default=None)
    spent = (f'The longest training took {longest} s of the {cfg.time_limit} '
             's that the study means to allow, one thread each. '
             if longest else '')
    return [
        Section('', _conditions_in_words(cfg, results, cv), Table(head, rows)),
        Section(
            '', 'UAR by severity:',
            Table(['variant', 'clean', *map(str, cfg.severities)], by_level)),
        Section('', f'{spent}Made by `{command}`.')
    ]


def _conditions_in_words(cfg: Config, results: Results, cv: bool) -> str:
    seeds = max(len(found) for found in results.values())
    where = f'The test split, {seeds} seed{"s" if seeds > 1 else ""}'
    if cv:
        folds = max(s['num_runs'] for found in results.values() for s in found)
        where = (f'Cross-validation inside the training split, {folds} of '
                 f'{cfg.num_folds} folds')
    title = cfg.variants[cfg.reference].title
    some = (f' on the first {cfg.num_occluded} faces'
            if cfg.get('num_occluded') else '')
    return (
        f'{where}; mean ± standard deviation over seeds, in percent. '
        f'Occluded: the mean of {len(cfg.severities)} severities of '
        f"`orsa.OccludeFace`{some}. Gained: the difference to '{title}' in "
        'points, with a 95% interval of the paired bootstrap over faces'
        f'{" and seeds" if seeds > 1 else ""}. ms a face: '
        f'{BATCH} faces at once, one thread, median, all variants in turn.')


def write_report(cfg: Config, path: str, results: Results,
                 ms_per_face: Dict[str, float], out: str, command: str,
                 cv: bool) -> None:
    """Write ``NAME.json``, ``.csv``, ``.md`` and ``.png``.

    Args:
        cfg (Config): Of the study.
        path (str): Its file.
        results (dict[str, list[dict]]): By variant and seed ``metrics``,
            ``correct`` and ``labels`` (by condition), ``seed``,
            ``parameters``, ``seconds`` (None of trainings that were
            resumed), ``num_runs``.
        ms_per_face (dict[str, float]): By variant.
        out (str): The folder.
        command (str): What made them.
        cv (bool): Whether they are of cross-validation.
    """
    levels = [f'severity {s}' for s in cfg.severities]
    conditions = {CLEAN: [CLEAN], OCCLUDED: levels}
    conditions.update({} if cv else {s: [s] for s in cfg.subsets})
    conditions = {k: names for k, names in conditions.items() if names}
    differences = _compare(cfg, results, conditions)
    name = osp.splitext(osp.basename(path))[0] + ('_cv' if cv else '')
    content = dict(
        study=path,
        command=command,
        results={
            variant: [{
                k: s[k]
                for k in ('seed', 'metrics', 'parameters', 'seconds',
                          'num_runs')
            } for s in seeds]
            for variant, seeds in results.items()
        },
        differences=differences,
        ms_per_face=ms_per_face)
    rows = [(variant, seed['seed'], condition,
             *(round(found[k], 3) for k in METRICS if k in found))
            for variant, seeds in results.items() for seed in seeds
            for condition, found in seed['metrics'].items()]
    base = osp.join(out, name)
    parts = _sections(cfg, command, results, differences, ms_per_face, cv)
    files = report.write_report(
        base, content, Table(['variant', 'seed', 'condition', *METRICS], rows),
        cfg.title, parts)
    print(report.markdown(cfg.title, parts))
    if levels:
        files.append(base + '.png')
        plot_robustness(
            {
                cfg.variants[variant].title:
                np.array([[s['metrics'][c]['uar'] for c in (CLEAN, *levels)]
                          for s in seeds])
                for variant, seeds in results.items()
            }, [0, *cfg.severities],
            files[-1],
            title=cfg.title)
    print(f'wrote {", ".join(files)}')
