# What the parts of ORSANet bring on FER+, where 3,153 test faces show a point:
#   python tools/ablate.py configs/ablations/ferplus.py
title = 'ORSANet on FER+'

variants = dict(
    plain=dict(config='./ferplus/plain.py', title='image'),
    landmarks=dict(config='./ferplus/landmarks.py', title='+ landmarks'),
    parsing=dict(config='./ferplus/parsing.py', title='+ parsing'),
    concat=dict(config='./ferplus/concat.py', title='+ both, concatenated'),
    mcm=dict(config='./ferplus/mcm.py', title='+ both, SPADE and MCM'),
    whole=dict(config='./ferplus/whole.py', title='+ DARE: the whole'),
    visible=dict(
        config='./ferplus/visible.py',
        title='SPADE and MCM, weighed by visibility'),
    consistent=dict(
        config='./ferplus/consistent.py', title='SPADE and MCM, consistency'),
    dan=dict(config='./ferplus/dan.py', title='DAN head'),
    poster=dict(config='./ferplus/poster.py', title='POSTER fusion'),
    posterv2=dict(config='./ferplus/posterv2.py', title='POSTER++ fusion'))
reference = 'plain'
seeds = [0, 1, 2]

num_folds = 0
priors = dict()
severities = [1, 2, 3, 4, 5]
# RAN's lists, https://arxiv.org/abs/1905.04075
lists = '{{$ORSA_FERPLUS:data/ferplus/}}/lists/'
subsets = {
    'Occlusion-FER+': f'{lists}jianfei_occlusion_list.txt',
    'Pose-FER+ 30': f'{lists}pose_30_ferplus_list.txt',
    'Pose-FER+ 45': f'{lists}pose_45_ferplus_list.txt',
}
# time limit of a training, in seconds
time_limit = 3600
# bf16 on a CPU, which is faster with AMX alone: docs/performance.md
amp = True
