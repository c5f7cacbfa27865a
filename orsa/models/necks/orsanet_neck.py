# Copyright (c) orsa contributors. All rights reserved.
from typing import List, Optional, Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.model import BaseModule

from orsa.models.utils.inputs import Maps
from orsa.registry import MODELS


def _build(cfg: Optional[dict]):
    return None if cfg is None else MODELS.build(cfg)


@MODELS.register_module()
class ORSANetNeck(BaseModule):
    """Semantic guidance, then cross-interaction: the fusion of ORSANet.

    From `Rethinking Occlusion in FER: A Semantic-Aware Perspective and Go
    Beyond <https://arxiv.org/abs/2507.15401>`_. Takes what
    :class:`orsa.ORSANet` gives, (image map, parsing prior, landmark prior)
    without those that are absent.

    Args:
        semantic_guidance (dict, optional): Config of the module that guides
            the image map by the parsing prior; None where there is none.
        cross_interaction (dict, optional): Config of the module that fuses
            the image map with the landmark prior; None where there is none,
            and the image map is then averaged.
        parsing_encoder (dict, optional): Config of a trained encoder
            for a prior that gives no map of features.
        landmark_encoder (dict, optional): The same for the landmark prior.
        in_index (Sequence[int], optional): Which of the backbone's outputs
            are the image map, the parsing prior and the landmark prior, as
            many as the modules need. Defaults to None: the backbone gives
            these and nothing else.
        residual (int, optional): Channels E of the image map, whose mean is
            then added to the fused feature. The latter is weighted channel by
            channel, by little at first (LayerScale,
            https://arxiv.org/abs/2103.17239). Not in the paper; for small
            data.
        weigh_visible (bool): Weigh each place of the image map by how visible
            it is, the last channel of :class:`ParsingPrior`'s
            'feature+visible', relative to its mean. Not in the paper.
            Defaults to False.
        init_cfg (dict, optional): Initialisation.

    Returns:
        tuple[Tensor]: The fused feature (B, E), alone in a tuple.

    Raises:
        ValueError: If the modules do not fit one another or the inputs.
    """

    def __init__(self,
                 semantic_guidance: Optional[dict] = None,
                 cross_interaction: Optional[dict] = None,
                 parsing_encoder: Optional[dict] = None,
                 landmark_encoder: Optional[dict] = None,
                 in_index: Optional[Sequence[int]] = None,
                 residual: Optional[int] = None,
                 weigh_visible: bool = False,
                 init_cfg: Optional[dict] = None):
        super().__init__(init_cfg=init_cfg)
        for encoder, part, name in ((parsing_encoder, semantic_guidance,
                                     'semantic_guidance'),
                                    (landmark_encoder, cross_interaction,
                                     'cross_interaction')):
            if encoder is not None and part is None:
                raise ValueError(f'an encoder without {name} would be built '
                                 'and never used')
        self.parsing_encoder = _build(parsing_encoder)
        self.landmark_encoder = _build(landmark_encoder)
        self.semantic_guidance = _build(semantic_guidance)
        self.cross_interaction = _build(cross_interaction)
        self._check_parts(residual)
        if weigh_visible and semantic_guidance is None:
            raise ValueError('weigh_visible needs the parsing prior, and '
                             'therefore semantic_guidance')
        self.weigh_visible = weigh_visible
        self.names = names = ['image map']
        if semantic_guidance is not None:
            names.append('parsing prior')
        if cross_interaction is not None:
            names.append('landmark prior')
        if in_index is not None and len(in_index) != len(names):
            raise ValueError(
                f'ORSANetNeck was built for {len(names)} inputs '
                f'({", ".join(names)}), but in_index={tuple(in_index)} picks '
                f'{len(in_index)}')
        self.in_index = None if in_index is None else tuple(in_index)
        self.fusion_scale = None if residual is None else nn.Parameter(
            torch.full((residual, ), 0.1))

    def _check_parts(self, residual: Optional[int]) -> None:
        """Compare the widths and numbers of tokens that the modules have."""
        width, guided = 'cross_interaction.embed_dims', \
            'semantic_guidance.in_channels'
        for one, other in (('parsing_encoder.out_channels',
                            'semantic_guidance.condition_channels'),
                           ('landmark_encoder.out_channels', width),
                           ('landmark_encoder.num_tokens',
                            'cross_interaction.num_tokens'), (guided, width),
                           ('residual', width), ('residual', guided)):
            values = []
            for path in (one, other):
                part, _, field = path.partition('.')
                # other people's modules need not have them
                values.append(
                    getattr(getattr(self, part), field, None
                            ) if field else residual)
            if None not in values and values[0] != values[1]:
                raise ValueError(f'ORSANetNeck: {one}={values[0]} and '
                                 f'{other}={values[1]} should be equal')

    def _pick(self, inputs: Maps) -> List[torch.Tensor]:
        given, index = len(inputs), self.in_index
        if index is None and given == len(self.names):
            return list(inputs)
        if index is None or any(not -given <= i < given for i in index):
            raise ValueError(
                f'ORSANetNeck was built for {len(self.names)} inputs '
                f'({", ".join(self.names)}) with in_index={index}, but the '
                f'backbone gives {given}')
        return [inputs[i] for i in index]

    def forward(self, inputs: Maps) -> Maps:
        """Fuse."""
        image, *priors = self._pick(inputs)
        if self.weigh_visible:
            visible = F.adaptive_avg_pool2d(priors[0][:, -1:], image.shape[2:])
            # a face that is not seen at all stays small, not amplified noise
            mean = visible.mean(dim=(2, 3), keepdim=True)
            image = image * (visible / mean.clamp(min=0.1))
        guided = image
        if self.semantic_guidance is not None:
            parsing = priors.pop(0)
            if self.parsing_encoder is not None:
                parsing = self.parsing_encoder(parsing)
            guided, *_ = self.semantic_guidance((image, parsing))
        if self.cross_interaction is None:
            fused = guided.mean(dim=(2, 3))
        else:
            landmark = priors.pop(0)
            if self.landmark_encoder is not None:
                landmark = self.landmark_encoder(landmark)
            fused = self.cross_interaction((guided, landmark))[0]
        if self.fusion_scale is None:
            return (fused, )
        if image.size(1) != self.fusion_scale.numel():
            raise ValueError(
                f'ORSANetNeck was built with residual='
                f'{self.fusion_scale.numel()}, but the image map has '
                f'{image.size(1)} channels')
        return (image.mean(dim=(2, 3)) + self.fusion_scale * fused, )
