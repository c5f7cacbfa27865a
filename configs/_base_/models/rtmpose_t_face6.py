# RTMPose-t trained on six face datasets: as rtmpose_face6.py, at a quarter of
# its cost. Published NME on LaPa 1.67.
_base_ = './rtmpose_face6.py'

landmark_prior = dict(
    checkpoint='https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/'
    'rtmpose-t_simcc-face6_pt-in1k_120e-256x256-df79d9a5_20230529.pth',
    source='RTMPose-t, face6, of mmpose (configs/face_2d_keypoint/rtmpose/'
    'face6)',
    model=dict(
        backbone=dict(deepen_factor=0.167, widen_factor=0.375),
        head=dict(in_channels=384)))
