# The model that `orsa predict` takes: ORSANet around a network of face
# recognition, trained on FER+ and press_faces together. Eight classes.
_base_ = [
    '_base_/models/orsanet_face.py', '_base_/datasets/ferplus_press_112.py',
    '_base_/schedules/adamw_face_two_rounds.py', '_base_/default_runtime.py'
]
