# ORSANet around a network of face recognition, trained on FER+ alone: eight
# classes, the votes as targets.
_base_ = [
    '_base_/models/orsanet_face.py', '_base_/datasets/ferplus_112.py',
    '_base_/schedules/adamw_face_two_rounds.py', '_base_/default_runtime.py'
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True))
