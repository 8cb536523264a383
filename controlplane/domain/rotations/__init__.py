"""Rotations of keys: asked for by people, done by a chore or a command, online, and gone on with by whoever comes next."""

from controlplane.domain.rotations.beginning import MasterNotNew, have_new_master
from controlplane.domain.rotations.requests import (
    Kind,
    Rotation,
    RotationOpen,
    Step,
    ask,
    get,
    listing,
    open_ones,
    shown,
)
from controlplane.domain.rotations.running import go_on, stopped

__all__ = [
    "Kind",
    "MasterNotNew",
    "Rotation",
    "RotationOpen",
    "Step",
    "ask",
    "get",
    "go_on",
    "have_new_master",
    "listing",
    "open_ones",
    "shown",
    "stopped",
]
