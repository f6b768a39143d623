"""Writes the clothes' denoiser as an ExecuTorch program for XNNPACK, with f32 weights and a fixed
batch. The program's inputs and output get no memory in its plan: they are the caller's.
"""

import sys
from pathlib import Path

import torch
from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
from executorch.exir.passes import MemoryPlanningPass
from safetensors.torch import load_file

output, batch = sys.argv[1], int(sys.argv[2])
fashion = Path(__file__).parent.parent / "fashion"
sys.path.insert(0, str(fashion))
from network import CLASSES, SIZE, Denoiser  # noqa: E402

net = Denoiser().eval()
weights = load_file(fashion / "weights.safetensors")
net.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
inputs = torch.zeros(batch, 1, SIZE, SIZE), torch.ones(batch), torch.zeros(batch, CLASSES)
with torch.no_grad():
    exported = torch.export.export(net, inputs)
lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
plan = MemoryPlanningPass(alloc_graph_input=False, alloc_graph_output=False)
program = lowered.to_executorch(ExecutorchBackendConfig(memory_planning_pass=plan))
Path(output).write_bytes(program.buffer)
