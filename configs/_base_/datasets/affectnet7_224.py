# AffectNet-7 at 224x224: without contempt.
_base_ = './affectnet8_224.py'

metainfo = dict(classes=[
    'neutral', 'happiness', 'sadness', 'surprise', 'fear', 'disgust', 'anger'
])

train_dataloader = dict(dataset=dict(metainfo=metainfo))
val_dataloader = dict(dataset=dict(metainfo=metainfo))
test_dataloader = val_dataloader
