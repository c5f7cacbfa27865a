# Copyright (c) orsa contributors. All rights reserved.
from .confusion import plot_confusion_matrix
from .curves import plot_curves, read_scalars
from .prediction_sheet import draw_prediction_sheet, spread

__all__ = [
    'draw_prediction_sheet', 'plot_confusion_matrix', 'plot_curves',
    'read_scalars', 'spread'
]
