# Copyright (c) orsa contributors. All rights reserved.
from .checkpoint_hook import CheckpointHook
from .compile_hook import CompileHook
from .face_visualization_hook import FaceVisualizationHook
from .freeze_hook import FreezeHook
from .host_memory_hook import HostMemoryHook
from .model_check_hook import ModelCheckHook
from .numerical_fault_hook import NumericalFault, NumericalFaultHook
from .preemption_hook import Preempted, PreemptionHook
from .rank_check_hook import RankCheckHook
from .reseed_hook import ReseedHook
from .schedule_hook import ScheduleHook, WorldSizeHook
from .switch_recipe_hook import SwitchRecipeHook
from .sync_buffers_hook import SyncBuffersHook
from .validation_record_hook import ValidationRecordHook

__all__ = [
    'CheckpointHook', 'CompileHook', 'Preempted', 'PreemptionHook',
    'HostMemoryHook', 'ModelCheckHook', 'NumericalFault', 'NumericalFaultHook',
    'RankCheckHook', 'FaceVisualizationHook', 'FreezeHook', 'ReseedHook',
    'ScheduleHook', 'SwitchRecipeHook', 'SyncBuffersHook',
    'ValidationRecordHook', 'WorldSizeHook'
]
