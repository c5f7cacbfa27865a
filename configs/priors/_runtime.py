# Schedule and runtime of both lite priors: AdamW with a cosine, as many epochs
# as two cores train in less than ten minutes.
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='orsa.CheckpointHook', interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    numerical_fault=dict(type='orsa.NumericalFaultHook'),
    preemption=dict(type='orsa.PreemptionHook'),
    sync_buffers=dict(type='orsa.SyncBuffersHook'),
    schedule=dict(type='orsa.ScheduleHook'),
    reseed=dict(type='orsa.ReseedHook'))
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=0)

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.01))
# The data of both: three fifths of the training faces are synthetic, the test
# faces are real.
data_root = '{{$ORSA_RAFDB:data/raf-db/}}'
real_train = dict(
    type='orsa.RAFDB',
    data_root=data_root,
    split='train',
    with_annotations=True)
real_test = dict(
    type='orsa.RAFDB',
    data_root=data_root,
    split='test',
    with_annotations=True,
    test_mode=True)
drawn_train = dict(
    type='orsa.SyntheticFaces',
    num_samples=2000,
    split='train',
    size=128,
    occlude_prob=0.4)
