# Copyright (c) orsa contributors. All rights reserved.
from .host_memory_hook import HostMemoryHook
from .model_check_hook import ModelCheckHook
from .reseed_hook import ReseedHook
from .switch_recipe_hook import SwitchRecipeHook
from .validation_record_hook import ValidationRecordHook

__all__ = [
    'HostMemoryHook', 'ModelCheckHook', 'ReseedHook', 'SwitchRecipeHook',
    'ValidationRecordHook'
]
