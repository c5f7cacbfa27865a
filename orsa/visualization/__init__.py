# Copyright (c) orsa contributors. All rights reserved.
from .class_sheet import draw_class_sheet, thumbnail
from .confusion import plot_confusion_matrix
from .curves import plot_curves, read_scalars
from .face_boxes import draw_faces
from .face_card import draw_face_card
from .mistake_sheet import draw_mistake_sheet
from .prediction_sheet import draw_prediction_sheet, spread
from .reliability import plot_reliability
from .robustness import plot_robustness

__all__ = [
    'draw_class_sheet', 'draw_face_card', 'draw_faces', 'draw_mistake_sheet',
    'draw_prediction_sheet', 'plot_confusion_matrix', 'plot_curves',
    'plot_reliability', 'plot_robustness', 'read_scalars', 'spread',
    'thumbnail'
]
