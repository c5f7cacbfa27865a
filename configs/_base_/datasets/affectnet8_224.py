# AffectNet-8 at 224x224, as rafdb_224.py: the reference trains on every
# dataset with the same augmentation and balanced sampling. The test split of
# AffectNet is not public: the validation split, 500 images per class, replaces
# it.
_base_ = './rafdb_224.py'

dataset_type = 'orsa.AffectNet'
data_root = '{{$ORSA_AFFECTNET:data/affectnet/}}'
classes = [
    'neutral', 'happiness', 'sadness', 'surprise', 'fear', 'disgust', 'anger',
    'contempt'
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
