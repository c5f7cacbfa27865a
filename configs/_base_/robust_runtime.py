# The default runtime with checks for long runs on several machines.
_base_ = './default_runtime.py'

default_hooks = dict(
    # several processes compare their data, settings and weights at the start
    rank_check=dict(type='orsa.RankCheckHook'),
    # a step that is not finite is left out, up to ten in a row
    numerical_fault=dict(action='skip'))
