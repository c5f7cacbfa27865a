# ORSANet large on FERPlus: the paper's model and the published defaults. The
# paper has no result on FERPlus, and no learning rate for it.
_base_ = [
    '_base_/models/orsanet_large.py', '_base_/datasets/ferplus_224.py',
    '_base_/schedules/sam_adam_400e.py', '_base_/default_runtime.py'
]

model = dict(data_preprocessor=dict(num_classes=8), head=dict(num_classes=8))
