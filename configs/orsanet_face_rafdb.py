# ORSANet around a network of face recognition on RAF-DB, or on any faces in
# its layout: seven classes.
_base_ = [
    '_base_/models/orsanet_face.py', '_base_/datasets/rafdb_112.py',
    '_base_/schedules/adamw_face.py', '_base_/default_runtime.py'
]
model = dict(data_preprocessor=dict(num_classes=7), head=dict(num_classes=7))
