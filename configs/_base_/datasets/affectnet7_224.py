# AffectNet-7 at 224x224: affectnet8_224.py without contempt.
_base_ = './rafdb_224.py'

dataset_type = 'orsa.AffectNet'
data_root = '{{$ORSA_AFFECTNET:data/affectnet/}}'
classes = [
    'neutral', 'happiness', 'sadness', 'surprise', 'fear', 'disgust', 'anger'
]

train_dataloader = dict(
    dataset=dict(
        type=dataset_type, data_root=data_root, metainfo=dict(
            classes=classes)))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='val',
        metainfo=dict(classes=classes)))
test_dataloader = val_dataloader
