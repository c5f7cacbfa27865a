# HRNetV2-W18 trained on WFLW, as a landmark prior of its 98 points: published
# NME 4.06, under occlusion 4.83.
_base_ = './hrnetv2_w18_300w.py'

landmark_keypoints = 98

landmark_prior = dict(
    num_keypoints=landmark_keypoints,
    checkpoint='https://download.openmmlab.com/mmpose/face/hrnetv2/'
    'hrnetv2_w18_wflw_256x256-2bf032a6_20210125.pth',
    source='HRNetV2-W18, WFLW, of mmpose (configs/face_2d_keypoint/'
    'topdown_heatmap/wflw)',
    model=dict(head=dict(out_channels=landmark_keypoints)))
