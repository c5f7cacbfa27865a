# Without the dynamic loss.
_base_ = './whole.py'
custom_hooks = []
