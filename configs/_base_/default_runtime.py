default_scope = 'mmpretrain'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # The last two epochs are stored, in case one file is truncated, and the
    # best one on the validation data.
    checkpoint=dict(
        type='orsa.CheckpointHook',
        interval=1,
        max_keep_ckpts=2,
        save_best='accuracy',
        rule='greater'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='orsa.FaceVisualizationHook', enable=False),
    # random numbers that a resumed run draws again, bit for bit
    reseed=dict(type='orsa.ReseedHook'),
    # with several processes: one model, not one for each
    sync_buffers=dict(type='orsa.SyncBuffersHook'),
    # a loss or gradient that is not finite ends the run
    numerical_fault=dict(type='orsa.NumericalFaultHook'),
    # SIGTERM saves and exits with code 75
    preemption=dict(type='orsa.PreemptionHook'),
    # peak memory in the log, where there is no GPU to ask
    host_memory=dict(type='orsa.HostMemoryHook'),
    # what has no learning rate stays as it is, whatever the schedule
    freeze=dict(type='orsa.FreezeHook'),
    # resumed with another length, or another number of processes
    schedule=dict(type='orsa.ScheduleHook'),
    # normalisation and class order, compared before they can mislead
    model_check=dict(type='orsa.ModelCheckHook'),
    # best, last and mean of the last epochs
    validation_record=dict(type='orsa.ValidationRecordHook'))

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    # seconds that processes wait for each other before the job ends
    dist_cfg=dict(backend='nccl', timeout=600))

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='UniversalVisualizer', vis_backends=vis_backends)

log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=123, deterministic=False)
