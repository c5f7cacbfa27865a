# Copyright (c) orsa contributors. All rights reserved.
from typing import List, Optional, Sequence, Tuple

import torch
import torch.nn as nn
from mmengine.model import BaseModule

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
            Defaults to None.
        cross_interaction (dict, optional): Config of the module that fuses the
            image map with the landmark prior; None where there is no
            landmark prior, and the image map is then averaged.
            Defaults to None.
        parsing_encoder (dict, optional): Config of a trained encoder
            for a prior that gives no map of features. Defaults to None.
        landmark_encoder (dict, optional): The same for the landmark prior.
            Defaults to None.
        in_index (Sequence[int], optional): Which of the backbone's outputs
            are the image map, the parsing prior and the landmark prior, as
            many as the modules need; negative numbers count from the end.
            Defaults to None: the backbone gives these and nothing else.
        residual (int, optional): Channels E of the image map, whose mean is
            then added to the fused feature. The latter is weighted channel by
            channel, by little at first (LayerScale,
            https://arxiv.org/abs/2103.17239): a training begins at the image
            branch, and a fusion that finds nothing does no harm. Not in the
            paper; for small data. Defaults to None, the fused feature alone.
        init_cfg (dict, optional): Initialisation. Defaults to None.

    Returns:
        tuple[Tensor]: The fused feature (B, E), alone in a tuple.

    Raises:
        ValueError: If the modules do not fit one another, the number of inputs
            or of ``in_index`` is another than they need, or an index is out
            of range.
    """

    def __init__(self,
                 semantic_guidance: Optional[dict] = None,
                 cross_interaction: Optional[dict] = None,
                 parsing_encoder: Optional[dict] = None,
                 landmark_encoder: Optional[dict] = None,
                 in_index: Optional[Sequence[int]] = None,
                 residual: Optional[int] = None,
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
        names = self._expected()
        if in_index is not None and len(in_index) != len(names):
            raise ValueError(
                f'ORSANetNeck was built for {len(names)} inputs '
                f'({", ".join(names)}), but in_index={tuple(in_index)} picks '
                f'{len(in_index)}')
        self.in_index = None if in_index is None else tuple(in_index)
        self.fusion_scale = None if residual is None else nn.Parameter(
            torch.full((residual, ), 0.1))

    def _stated(self, part: str, field: str) -> Tuple[str, Optional[int]]:
        return f'{part}.{field}', getattr(getattr(self, part), field, None)

    def _check_parts(self, residual: Optional[int]) -> None:
        """Compare the widths and numbers of tokens that the modules have."""
        width = self._stated('cross_interaction', 'embed_dims')
        guided = self._stated('semantic_guidance', 'in_channels')
        for (name, value), (other, expected) in (
            (self._stated('parsing_encoder', 'out_channels'),
             self._stated('semantic_guidance', 'condition_channels')),
            (self._stated('landmark_encoder', 'out_channels'), width),
            (self._stated('landmark_encoder', 'num_tokens'),
             self._stated('cross_interaction', 'num_tokens')),
            (guided, width),
            (('residual', residual), width),
            (('residual', residual), guided),
        ):
            # other people's modules need not have them
            if None not in (value, expected) and value != expected:
                raise ValueError(f'ORSANetNeck: {name}={value} and '
                                 f'{other}={expected} should be equal')

    def _expected(self) -> list:
        names = ['image map']
        if self.semantic_guidance is not None:
            names.append('parsing prior')
        if self.cross_interaction is not None:
            names.append('landmark prior')
        return names

    def _pick(self, inputs: Tuple[torch.Tensor, ...]) -> List[torch.Tensor]:
        names, given = self._expected(), len(inputs)
        index = range(len(names)) if self.in_index is None else self.in_index
        if self.in_index is None and given != len(names) or any(
                not -given <= i < given for i in index):
            raise ValueError(
                f'ORSANetNeck was built for {len(names)} inputs '
                f'({", ".join(names)}) with in_index={self.in_index}, but the '
                f'backbone gives {given}')
        return [inputs[i] for i in index]

    def forward(self, inputs: Tuple[torch.Tensor,
                                    ...]) -> Tuple[torch.Tensor, ...]:
        """Fuse."""
        image, *priors = self._pick(inputs)
        fused = self._fuse(image, priors)
        if self.fusion_scale is None:
            return (fused, )
        if image.size(1) != self.fusion_scale.numel():
            raise ValueError(
                f'ORSANetNeck was built with residual='
                f'{self.fusion_scale.numel()}, but the image map has '
                f'{image.size(1)} channels')
        return (image.mean(dim=(2, 3)) + self.fusion_scale * fused, )

    def _fuse(self, image: torch.Tensor,
              priors: List[torch.Tensor]) -> torch.Tensor:
        if self.semantic_guidance is not None:
            parsing = priors.pop(0)
            if self.parsing_encoder is not None:
                parsing = self.parsing_encoder(parsing)
            image, *_ = self.semantic_guidance((image, parsing))
        if self.cross_interaction is None:
            return image.mean(dim=(2, 3))
        landmark = priors.pop(0)
        if self.landmark_encoder is not None:
            landmark = self.landmark_encoder(landmark)
        return self.cross_interaction((image, landmark))[0]
