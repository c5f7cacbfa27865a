# The variants of both studies.
variants = dict(
    resnet18=dict(config='./resnet18.py', title='ResNet-18'),
    scratch=dict(config='./scratch.py', title='image, from scratch'),
    plain=dict(config='./plain.py', title='image'),
    landmarks=dict(config='./landmarks.py', title='+ landmarks'),
    parsing=dict(config='./parsing.py', title='+ parsing'),
    concat=dict(config='./concat.py', title='+ both, concatenated'),
    mcm=dict(config='./mcm.py', title='+ both, SPADE and MCM'),
    whole=dict(config='./whole.py', title='+ DARE: the whole'))
reference = 'plain'
seeds = [0, 1, 2]

severities = [1, 2, 3, 4, 5]
# time limit of a training, in seconds
time_limit = 480
