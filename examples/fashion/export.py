"""Write the clothes' denoiser as an ONNX file: float16 weights, f32 arithmetic, any batch.

With --check, compare what engines make of the file with torch, from the least sigma to the largest.
Without, neither torch nor an engine is needed.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

# As network.py has them, which needs torch; --check sees whether they are the same.
CLASSES, SIZE = 10, 28
GROUPS, HEADS = 8, 4
MEAN, SD = 0.286, 0.353

# What ONNX Runtime, OpenVINO and tract all have; GroupNormalization, of a later one, is not in it.
OPSET = 17


class Graph:
    """Nodes in the order in which they are added."""

    def __init__(self, weights: dict[str, np.ndarray]):
        self.nodes = []
        self.initialisers = {}
        self.shapes = {name: tensor.shape for name, tensor in weights.items()}
        self.widened = {}
        for name, tensor in weights.items():
            self.constant(name, tensor)

    def add(self, kind: str, *inputs: str, **attributes) -> str:
        return self.add_all(kind, 1, *inputs, **attributes)[0]

    def add_all(self, kind: str, outputs: int, *inputs: str, **attributes) -> list[str]:
        names = [f"{kind}{len(self.nodes)}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initialisers[name] = numpy_helper.from_array(value, name)
        return name

    def number(self, value: float) -> str:
        return self.constant(str(value), np.float32(value))

    def weight(self, name: str) -> str:
        if name not in self.widened:
            self.widened[name] = self.add("Cast", name, to=TensorProto.FLOAT)
        return self.widened[name]

    def reshape(self, x: str, *shape: int) -> str:
        name = ",".join(str(size) for size in shape)
        return self.add("Reshape", x, self.constant(name, np.array(shape, np.int64)))

    def silu(self, x: str) -> str:
        return self.add("Mul", x, self.add("Sigmoid", x))

    def linear(self, name: str, x: str) -> str:
        bias = [self.weight(f"{name}.bias")] if f"{name}.bias" in self.shapes else []
        return self.add("Gemm", x, self.weight(f"{name}.weight"), *bias, transB=1)

    def conv(self, name: str, x: str, stride: int = 1) -> str:
        size = self.shapes[f"{name}.weight"][-1]
        shape = {"kernel_shape": [size] * 2, "strides": [stride] * 2, "pads": [(size - 1) // 2] * 4}
        weight, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.add("Conv", x, weight, bias, **shape)

    def norm(self, name: str, x: str, size: int) -> str:
        """Group normalisation: of each group as a channel, then each channel's factor and shift."""
        weight, bias = (self.weight(f"{name}.{part}") for part in ("weight", "bias"))
        ones = self.constant("ones", np.ones(GROUPS, np.float32))
        zeros = self.constant("zeros", np.zeros(GROUPS, np.float32))
        groups = self.reshape(x, 0, GROUPS, -1)
        x = self.add("InstanceNormalization", groups, ones, zeros, epsilon=1e-5)
        x = self.reshape(x, 0, self.shapes[f"{name}.weight"][0], size, size)
        x = self.add("Mul", x, self.reshape(weight, 1, -1, 1, 1))
        return self.add("Add", x, self.reshape(bias, 1, -1, 1, 1))

    def block(self, name: str, x: str, embedding: str, size: int) -> str:
        told = self.reshape(self.linear(f"{name}.modulate", embedding), 0, -1, 1, 1)
        scale, shift = self.add_all("Split", 2, told, axis=1)
        h = self.conv(f"{name}.conv1", self.silu(self.norm(f"{name}.norm1", x, size)))
        factor = self.add("Add", scale, self.number(1.0))
        h = self.add("Mul", self.norm(f"{name}.norm2", h, size), factor)
        h = self.conv(f"{name}.conv2", self.silu(self.add("Add", h, shift)))
        skip = self.conv(f"{name}.skip", x) if f"{name}.skip.weight" in self.shapes else x
        return self.add("Add", skip, h)

    def attention(self, name: str, x: str, size: int) -> str:
        channels = self.shapes[f"{name}.out.weight"][0]
        qkv = self.conv(f"{name}.qkv", self.norm(f"{name}.norm", x, size))
        parts = self.add_all("Split", 3, qkv, axis=1)
        q, k, v = (self.reshape(part, 0, HEADS, channels // HEADS, size * size) for part in parts)
        likeness = self.add("MatMul", self.add("Transpose", q, perm=[0, 1, 3, 2]), k)
        scaled = self.add("Mul", likeness, self.number(float(HEADS / channels) ** 0.5))
        weights = self.add("Transpose", self.add("Softmax", scaled, axis=-1), perm=[0, 1, 3, 2])
        h = self.reshape(self.add("MatMul", v, weights), 0, channels, size, size)
        return self.add("Add", x, self.conv(f"{name}.out", h))

    def network(self, x: str, noise: str, classes: str) -> str:
        angles = self.add("Mul", self.reshape(noise, -1, 1), self.weight("frequencies"))
        features = self.add("Concat", self.add("Cos", angles), self.add("Sin", angles), axis=1)
        sigmas, classes = self.linear("embed_sigma", features), self.linear("embed_class", classes)
        e = self.silu(self.linear("embed", self.silu(self.add("Add", sigmas, classes))))

        half, quarter = SIZE // 2, SIZE // 4
        first = self.conv("first", x, stride=2)
        down1 = self.block("down1", first, e, half)
        down2 = self.block("down2", self.conv("shrink", down1, stride=2), e, quarter)
        h = self.block("middle", self.attention("attention", down2, quarter), e, quarter)
        h = self.block("up1", self.add("Concat", h, down2, axis=1), e, quarter)
        h = self.block("up2", h, e, quarter)
        h = self.upscale(h)
        h = self.block("up3", self.add("Concat", h, down1, axis=1), e, half)
        h = self.block("up4", self.add("Concat", h, first, axis=1), e, half)
        h = self.conv("last", self.silu(self.norm("norm", h, half)))
        return self.add("DepthToSpace", h, blocksize=2, mode="CRD")

    def upscale(self, x: str) -> str:
        scales = self.constant("twice", np.array([1, 1, 2, 2], np.float32))
        nearest = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.add("Resize", x, "", scales, mode="nearest", **nearest)

    def denoised(self, x: str, sigma: str, classes: str) -> str:
        each = self.reshape(sigma, -1, 1, 1, 1)
        variance, mean = self.number(SD * SD), self.number(MEAN)
        total = self.add("Add", self.add("Mul", each, each), variance)
        root = self.add("Sqrt", total)
        centred = self.add("Sub", x, mean)
        noise = self.add("Div", self.add("Log", sigma), self.number(4.0))
        told = self.network(self.add("Div", centred, root), noise, classes)
        kept = self.add("Mul", centred, self.add("Div", variance, total))
        gain = self.add("Div", self.add("Mul", each, self.number(SD)), root)
        learned = self.add("Mul", told, gain)
        return self.add("Add", self.add("Add", kept, mean), learned)


def export(weights: Path, output: Path) -> None:
    graph = Graph(load_file(weights))
    graph.denoised("x", "sigma", "classes")
    graph.nodes[-1].output[0] = "denoised"
    pictures = ["n", 1, SIZE, SIZE]
    shapes = {"x": pictures, "sigma": ["n"], "classes": ["n", CLASSES], "denoised": pictures}
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()]
    initialisers = list(graph.initialisers.values())
    made = helper.make_graph(graph.nodes, "clothes", values[:3], values[3:], initialisers)
    # IR 8 is the one of this opset.
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    output.write_bytes(model.SerializeToString())
    print(f"{output}: {output.stat().st_size} bytes, {len(graph.nodes)} nodes, opset {OPSET}")


def check(weights: Path, model: Path) -> None:
    """Print the rms difference from torch, relative to what it says, for each engine and sigma."""
    import onnxruntime
    import openvino
    import torch
    from network import SIGMA_MAX, SIGMA_MIN, Denoiser
    from safetensors.torch import load_file as load_tensors

    net = Denoiser()
    net.load_state_dict({name: tensor.float() for name, tensor in load_tensors(weights).items()})
    runtime = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    engines = {
        "ONNX Runtime": lambda inputs: runtime.run(None, inputs)[0],
        "OpenVINO": lambda inputs: compiled(inputs)[0],
    }
    random = np.random.default_rng(0)
    # The last is unconditional.
    classes = np.eye(CLASSES + 1, CLASSES, dtype=np.float32)
    for sigma in np.geomspace(SIGMA_MIN, SIGMA_MAX, 9, dtype=np.float32):
        clean = random.random((CLASSES + 1, 1, SIZE, SIZE), np.float32)
        x = clean + sigma * random.standard_normal(clean.shape, np.float32)
        inputs = {"x": x, "sigma": np.full(CLASSES + 1, sigma), "classes": classes}
        with torch.no_grad():
            expected = net(*(torch.from_numpy(value) for value in inputs.values())).numpy()
        error = {name: rms(run(inputs) - expected) / rms(expected) for name, run in engines.items()}
        listed = ", ".join(f"{name} {value:.1e}" for name, value in error.items())
        print(f"sigma {sigma:7.4f}: {listed}")
        if not max(error.values()) < 1e-5:
            raise SystemExit("the file is another network")


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x.astype(np.float64) ** 2)))


def main() -> None:
    folder = Path(__file__).parent
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    weights, output = folder / "weights.safetensors", folder / "clothes.onnx"
    parser.add_argument("--weights", type=Path, default=weights, help="the network")
    parser.add_argument("--output", type=Path, default=output, help="the file to write")
    parser.add_argument("--check", action="store_true", help="compare with torch")
    args = parser.parse_args()
    export(args.weights, args.output)
    if args.check:
        check(args.weights, args.output)


if __name__ == "__main__":
    main()
