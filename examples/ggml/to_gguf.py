"""Writes the network of an example's folder (digits, fashion) as a GGUF file, as converters of
ggml's runtimes do: the tensors of weights.safetensors in float32, and the scheduler's configuration
beside them, so that the runtime needs no other file.
"""

import sys
from pathlib import Path

import numpy as np
from gguf import GGUFWriter
from safetensors.numpy import load_file

name, output = sys.argv[1:]
folder = Path(__file__).parent.parent / name
writer = GGUFWriter(output, f"vesde-{name}")
writer.add_string("scheduler_config", (folder / "scheduler_config.json").read_text())
for key, tensor in sorted(load_file(folder / "weights.safetensors").items()):
    # ggml multiplies by rows of inputs. The digits' file has [in][out].
    rows = tensor.T if name == "digits" else tensor
    writer.add_tensor(key, np.ascontiguousarray(rows, np.float32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
