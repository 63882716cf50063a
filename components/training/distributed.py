"""One training in several processes: each computes a part of every batch, and what they add up is the same in all.

Without dropout any number of processes makes the same steps but for rounding. Dropout each process draws for its own
rows: with it another number of processes is another draw, as another seed is.

Two ways, which for one number of processes come out the same but for rounding: each holds everything and they add up
their gradients, or each holds a shard of every parameter, its gradient and its moments (`shard`), for a model that one
device cannot hold.

Without a process group of torch.distributed there is one process, and everything here leaves things as they are. A
group is opened by `group`, or by whoever calls (under torchrun: `torch.distributed.init_process_group`).
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeGuard

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from components.training.losses import Batch, Loss

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

HOST = "127.0.0.1"
"""Where the processes meet: all on this machine."""
PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others: one may be writing a state of many gigabytes."""
BUCKET = 2**23
"""Numbers that are added up at once; 32 MiB in float32, about what torch's own DDP takes (25 MiB)."""


@contextmanager
def group(rank: int, count: int, port: int, device: torch.device) -> Iterator[None]:
    """Be process `rank` of `count` in the block, or until `leave`; on CUDA the GPU of that number is this process's.

    `port` is that of a torch.distributed.TCPStore on this machine. An error inside leaves the others waiting.
    """
    if device.type == "cuda":
        torch.cuda.set_device(rank)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    store = dist.TCPStore(HOST, port, is_master=False)  # type: ignore[attr-defined]
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=PATIENCE)
    yield
    if _is_one_of_many():
        leave()


def leave() -> None:
    """Be one process again; to be called by all at about the same time."""
    dist.destroy_process_group()


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if _is_one_of_many() else 0


def count() -> int:
    """Return how many processes there are, 1 without a group."""
    return dist.get_world_size() if _is_one_of_many() else 1


def part(batch: Batch) -> Batch:
    """Return this process's rows of a batch: as many as any other's, or one more; none where there are too few."""
    if count() == 1:
        return batch
    return tuple(tensor.tensor_split(count())[rank()] for tensor in batch)


def add_up(tensors: Sequence[Tensor]) -> None:
    """Put in the place of each tensor its sum over all processes, the same bits in each; waits for all of them.

    Tensors in shards (a parameter's gradient, of `shard`) are sums already. The order of the sums depends on nothing
    but the tensors' shapes, so that a run that goes on gives the same bits (torch's DDP arranges them anew after the
    first step that a process makes).
    """
    if count() == 1:
        return
    for bucket in _buckets([tensor for tensor in tensors if tensor is local(tensor)]):
        flat = torch.cat([tensor.flatten() for tensor in bucket])
        dist.all_reduce(flat)
        summed = torch.split(flat, [tensor.numel() for tensor in bucket])
        for tensor, numbers in zip(bucket, summed, strict=True):
            tensor.copy_(numbers.view_as(tensor))


def any_of(*flags: bool) -> list[bool]:
    """Return for each flag whether it is true in any process; waits for all of them."""
    if count() == 1:
        return list(flags)
    raised = torch.tensor(flags, dtype=torch.uint8)
    dist.all_reduce(raised, dist.ReduceOp.MAX)
    return [bool(flag) for flag in raised.tolist()]


def is_same(number: int) -> bool:
    """Return whether all processes have the same number here; waits for all of them."""
    if count() == 1:
        return True
    ends = torch.tensor([number, -number])
    dist.all_reduce(ends, dist.ReduceOp.MAX)
    return bool(ends[0] == -ends[1])


class Objective(nn.Module):
    """A model and its loss as one module: called with a batch's tensors it returns the sum and the count of the loss.

    So that whatever a loss calls of its model happens inside one forward, before which shards are gathered.
    """

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model = model
        self._loss = loss

    def forward(self, *batch: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sum of the losses, nats, and the count of targets."""
        return self._loss(self.model, batch)


def objective_loss(objective: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return what an Objective says of a batch: the Loss to train and evaluate it by."""
    total, count = objective(*batch)
    return total, count


def shard(model: nn.Module, loss: Loss, device: torch.device) -> Objective:
    """Return a copy of a model on `device`, of which each process holds a shard, with its loss (torch's FSDP2).

    What stands in a ModuleList, the blocks, is gathered for its own forward and backward alone; the rest for all of it.
    The model given stays whole and where it is: `gather` brings the weights back.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    objective = Objective(copy.deepcopy(model), loss)
    mesh = init_device_mesh(device.type, (count(),))
    for module in reversed(list(objective.modules())):
        for block in module if isinstance(module, nn.ModuleList) else ():
            fully_shard(block, mesh=mesh)
    fully_shard(objective, mesh=mesh)
    for module in objective.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)  # a sum, not a mean: it is divided by the count of all targets
            module.set_force_sum_reduction_for_comms(True)  # gloo knows no sum with a factor
    return objective


@torch.no_grad()
def gather(objective: Objective, model: nn.Module) -> None:
    """Give `model` the weights of `objective`, which holds it, or a copy in shards; waits for all processes."""
    if objective.model is model:
        return
    own = model.state_dict()
    for name, tensor in objective.model.state_dict().items():
        own[name].copy_(whole(tensor))


def norm(tensors: Sequence[Tensor]) -> Tensor:
    """Return the 2-norm over all numbers of all tensors, whole ones or ones in shards; of these it waits for all."""
    shards = [local(tensor) for tensor in tensors]
    found = get_total_norm(shards)
    if all(shard is tensor for shard, tensor in zip(shards, tensors, strict=True)):
        return found
    square = found.square()
    dist.all_reduce(square)
    return square.sqrt()


def local(tensor: Tensor) -> Tensor:
    """Return this process's shard of a tensor; the tensor itself where it is in no shards."""
    return tensor.to_local() if _is_in_shards(tensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor gathered from its shards, waiting for all processes; itself where it is in no shards."""
    return tensor.full_tensor() if _is_in_shards(tensor) else tensor


def like(target: Tensor, tensor: Tensor) -> Tensor:
    """Return a whole tensor, the same in each process, in shards as `target` is; itself where that is in none."""
    if not _is_in_shards(target):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(target.device), target.device_mesh, target.placements, src_data_rank=None)


def on_whole(function: Callable[[Tensor], Tensor], tensor: Tensor) -> Tensor:
    """Return a function of a tensor, in shards as the tensor is; each process computes it of the whole."""
    return like(tensor, function(whole(tensor)))


def _is_in_shards(tensor: Tensor) -> "TypeGuard[DTensor]":
    if not _is_one_of_many():
        return False
    from torch.distributed.tensor import DTensor  # late: half a second, for many processes alone

    return isinstance(tensor, DTensor)


def _is_one_of_many() -> bool:
    return dist.is_available() and dist.is_initialized()


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yield the tensors in their order, those of one kind together, `BUCKET` numbers at a time."""
    alike = defaultdict(list)
    for tensor in tensors:
        alike[tensor.dtype, tensor.device].append(tensor)
    for kind in alike.values():
        bucket: list[Tensor] = []
        for tensor in kind:
            bucket.append(tensor)
            if sum(each.numel() for each in bucket) >= BUCKET:
                yield bucket
                bucket = []
        if bucket:
            yield bucket
