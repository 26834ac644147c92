"""Ranks of a distributed run: torchrun starts them, this module says who is who. One process needs none of it."""

import os
import socket
from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def start_ranks() -> None:
    """Join the process group when torchrun (or accelerate launch) started several processes; gloo on a CPU."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and dist.is_available() and not dist.is_initialized():
        _bind_to_loopback()
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def stop_ranks() -> None:
    """Leave the process group, once all ranks are done."""
    if dist.is_available() and dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


def _bind_to_loopback() -> None:
    """On one machine gloo needs no name of it that resolves and no network, only the loopback interface."""
    loopback = next((name for _, name in socket.if_nameindex() if name in ("lo", "lo0")), None)
    if loopback and os.environ.get("MASTER_ADDR") in ("localhost", "127.0.0.1"):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """How many processes share the work."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def share(items: Sequence[T]) -> list[T]:
    """Return the items of this rank: every world_size-th, starting at its rank."""
    return list(items[rank() :: world_size()])


def barrier() -> None:
    """Wait for all ranks."""
    if world_size() > 1:
        dist.barrier()


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """The sum over all ranks, on each of them; in place."""
    if world_size() > 1:
        dist.all_reduce(tensor)
    return tensor


def gather(item: T) -> list[T]:
    """Every rank's item, in rank order, on each of them."""
    if world_size() == 1:
        return [item]
    gathered: list[T | None] = [None] * world_size()
    dist.all_gather_object(gathered, item)
    return [part for part in gathered if part is not None]
