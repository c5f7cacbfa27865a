# The model that `orsa predict` takes: ORSANet around a network of face
# recognition, trained on FER+ and press_faces together. Eight classes.
_base_ = [
    '_base_/models/orsanet_face.py', '_base_/datasets/ferplus_press_112.py',
    '_base_/schedules/adamw_face_two_rounds.py', '_base_/default_runtime.py'
]
# what ships is the mean of the ends of both rounds, of epochs 8 and 16
default_hooks = dict(checkpoint=dict(max_keep_ckpts=9))
