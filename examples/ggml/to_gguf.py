"""Writes the digits' network as a GGUF file, as converters of ggml's runtimes do: the tensors of
weights.safetensors, and the scheduler's configuration beside them, so that the runtime needs no other file.
"""

import sys
from pathlib import Path

import numpy as np
from gguf import GGUFWriter
from safetensors.numpy import load_file

digits = Path(__file__).parent.parent / "digits"
writer = GGUFWriter(sys.argv[1], "vesde-digits")
writer.add_string("scheduler_config", (digits / "scheduler_config.json").read_text())
for name, tensor in sorted(load_file(digits / "weights.safetensors").items()):
    # [in][out] in the file; ggml multiplies by rows of inputs.
    writer.add_tensor(name, np.ascontiguousarray(tensor.T))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
