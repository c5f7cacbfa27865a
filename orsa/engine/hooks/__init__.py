# Copyright (c) orsa contributors. All rights reserved.
from .model_check_hook import ModelCheckHook
from .reseed_hook import ReseedHook
from .validation_record_hook import ValidationRecordHook

__all__ = ['ModelCheckHook', 'ReseedHook', 'ValidationRecordHook']
