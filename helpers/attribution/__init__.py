"""Attribution: where in an image a score of a model comes from, and how far to trust the answer.

Each method is a function (`saliency`, `grad_cam`, ...), and a frozen value (`Saliency()`,
`GradCam()`, ...) that `attribute` and the measures of trust take.
"""

from helpers.attribution.grad_cam import GradCam, grad_cam
from helpers.attribution.grad_cam_plus_plus import GradCamPlusPlus, grad_cam_plus_plus
from helpers.attribution.guided_backprop import GuidedBackprop, guided_backprop
from helpers.attribution.integrated_gradients import IntegratedGradients, integrated_gradients
from helpers.attribution.method import Method, attribute
from helpers.attribution.occlusion import Occlusion, occlusion
from helpers.attribution.saliency import Saliency, saliency
from helpers.attribution.smooth_grad import SmoothGrad, smooth_grad
from helpers.attribution.trust import (
    between_methods,
    deletion_and_insertion,
    sanity_check,
    similarity,
)

__all__ = [
    "GradCam",
    "GradCamPlusPlus",
    "GuidedBackprop",
    "IntegratedGradients",
    "Method",
    "Occlusion",
    "Saliency",
    "SmoothGrad",
    "attribute",
    "between_methods",
    "deletion_and_insertion",
    "grad_cam",
    "grad_cam_plus_plus",
    "guided_backprop",
    "integrated_gradients",
    "occlusion",
    "saliency",
    "sanity_check",
    "similarity",
    "smooth_grad",
]
