# Occlu-FER at 224x224, as rafdb_224.py. It has two splits: the second one is
# for validation and test, as in the reference.
_base_ = './rafdb_224.py'

dataset_type = 'orsa.OccluFER'
data_root = '{{$ORSA_OCCLUFER:data/occlu-fer/}}'
classes = [
    'anger', 'disgust', 'fear', 'happiness', 'neutral', 'sadness', 'surprise'
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
