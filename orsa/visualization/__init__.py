# Copyright (c) orsa contributors. All rights reserved.
from .confusion import plot_confusion_matrix
from .curves import plot_curves, read_scalars
from .face_boxes import draw_faces
from .face_card import draw_face_card
from .grids import (draw_attention_grid, draw_class_grid, draw_mistake_grid,
                    draw_occluder_grid, draw_prediction_grid, draw_step_grid,
                    spread, thumbnail)
from .occlusion import (plot_occlusion_curves, plot_occlusion_heatmap,
                        plot_robustness)
from .reliability import plot_reliability

__all__ = [
    'draw_attention_grid', 'draw_class_grid', 'draw_face_card', 'draw_faces',
    'draw_mistake_grid', 'draw_occluder_grid', 'draw_prediction_grid',
    'draw_step_grid', 'plot_confusion_matrix', 'plot_curves',
    'plot_occlusion_curves', 'plot_occlusion_heatmap', 'plot_reliability',
    'plot_robustness', 'read_scalars', 'spread', 'thumbnail'
]
