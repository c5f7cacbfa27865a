# Ablation of the training occluders, on the image branch:
#   python tools/ablate.py configs/ablations/occluders.py --cv
_base_ = './faces.py'

title = 'Occluders in training'
variants = dict(
    _delete_=True,
    none=dict(config='./no_occluder.py', title='none'),
    plain=dict(config='./plain.py', title='hand, block, object'),
    random=dict(config='./random_occluder.py', title='all kinds, 0.3'),
    random_half=dict(
        config='./random_occluder_half.py', title='all kinds, 0.5'))
