"""A training step in a process of its own: what it really holds, and how long it takes.

Called with a JSON object; prints one. Bytes of live tensors are counted as they are made, and
beside that the process tells how much memory it really had.
"""

import ctypes
import gc
import json
import sys
import time
import weakref

import torch
from tests.integration.step_prompts import step_prompts
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vlmrec.vlm.gradient_cache import encode_in_chunks
from vlmrec.vlm.loading import load_vlm
from vlmrec.vlm.options import TuningOptions, VlmOptions


class LiveBytes(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.alive = {}
        self.now = self.peak = 0

    def watch(self, tensor):
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self.alive:
            return

        def gone(_):
            del self.alive[key]
            self.now -= size

        self.alive[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for one in tree_leaves(out):
            if isinstance(one, torch.Tensor):
                self.watch(one)
        return out


def resident(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def main():
    case = json.loads(sys.argv[1])
    options = VlmOptions(tokens_per_batch=case["budget"])
    live = LiveBytes()
    with live:
        model = load_vlm(case["model"], options, TuningOptions(**case["tuning"])).train()
        histories, items, seen = step_prompts(model, case["rows"], case["words"], "cpu")
        weights = [*model.parameters(), *model.buffers()]
        for one in weights:  # weights of a file were not made by an operation
            live.watch(one)
            one.data.sum()
        learning = [one for one in model.parameters() if one.requires_grad]
        optimizer = torch.optim.AdamW(learning, lr=1e-5, fused=True)
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        before = resident("VmRSS") - live.now

        def encode(prompts):
            return model.encode(prompts, seen=seen)

        def step():
            chunk = case["chunk"] or case["rows"]
            users, goods = (encode_in_chunks(encode, part, chunk) for part in (histories, items))
            loss = F.cross_entropy(users @ goods.T / 0.07, torch.arange(len(users)))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        step()  # makes the optimiser's moments
        gc.collect()
        live.peak = live.now
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # forgets the highest so far
        step()
    highest = resident("VmHWM") - before
    start = time.perf_counter()
    step()
    seconds = time.perf_counter() - start
    print(json.dumps({"live": live.peak, "resident": highest, "seconds": seconds}))


if __name__ == "__main__":
    main()
