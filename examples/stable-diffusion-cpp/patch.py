"""Puts vesde behind stable-diffusion.cpp's generators, tables and sampler loop.

    python patch.py SOURCE OUTPUT

SOURCE is its src folder. OUTPUT becomes a copy of it: links to its files, but for those that are
changed. A place is found by the name of a class or function; one that is not there, or is there
twice, ends the script.
"""

import difflib
import pathlib
import re
import sys

INCLUDE = '#include "vesde_client.hpp"\n'


def sampler(method, eta="0.f", rng="nullptr"):
    arguments = f"VESDE_METHOD_{method}, {eta}, model, std::move(x), sigmas, {rng}"
    return f"return vesde_client::sample({arguments});"


def table(function, sigma_min):
    return f"return vesde_client::{function}(n, {sigma_min}, sigma_max);"


# Classes: what is there instead.
CLASSES = {
    "rng_mt19937.hpp": {
        "MT19937RNG": "using MT19937RNG = vesde_client::generator<VESDE_GENERATOR_KIND_TORCH_CPU>;",
    },
    "rng_philox.hpp": {
        "PhiloxRNG": "using PhiloxRNG = vesde_client::generator<VESDE_GENERATOR_KIND_TORCH_CUDA>;",
    },
}

# Functions of denoiser.hpp: their bodies. `A::f` is f in struct A.
BODIES = {
    "KarrasScheduler::get_sigmas": table("karras_sigmas", "std::max(sigma_min, 1e-6f)"),
    "ExponentialScheduler::get_sigmas": table("geometric_sigmas", "sigma_min"),
    "sample_euler": sampler("EULER"),
    "sample_euler_ancestral": sampler("EULER", "eta", "rng"),
    "sample_ddim_trailing": sampler("EULER", "eta", "rng"),
    "sample_heun": sampler("HEUN"),
    "sample_dpm2": sampler("DPM2"),
    "sample_dpmpp_2s_ancestral": sampler("DPMPP2S", "eta", "rng"),
    "sample_dpmpp_2m": sampler("DPMPP2M"),
    "sample_ipndm": sampler("IPNDM"),
}

# And those that begin so, and go on as before.
BEGINNINGS = {
    # All that is left of the sample is noise: the greatest eta.
    "sample_lcm": f"if (!is_flow_denoiser) {{ {sampler('EULER', 'vesde_client::most', 'rng')} }}",
    "sample_res_multistep": f"if (eta <= 0.f) {{ {sampler('DPMPP2M_EXACT')} }}",
}

# Comments, texts and characters, in which braces mean nothing.
OPAQUE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def blanked(text):
    """The same text, as long, without what is opaque."""
    return OPAQUE.sub(lambda match: " " * len(match.group()), text)


def only(pattern, text, what):
    found = list(re.finditer(pattern, text, re.MULTILINE))
    if len(found) != 1:
        sys.exit(f"patch.py: {what} was found {len(found)} times")
    return found[0]


def closing(text, start, opening, what):
    """The place of the bracket that closes the next `opening` from `start` on, and of that one."""
    begin = text.find(opening, start)
    depth = 0
    for match in re.compile(r"[()]" if opening == "(" else r"[{}]").finditer(text, max(begin, 0)):
        depth += 1 if match.group() == opening else -1
        if depth == 0 and begin >= 0:
            return begin, match.start()
    sys.exit(f"patch.py: {what} has no end")


def body(text, name):
    """Where the body of a function begins and ends, without its braces."""
    code = blanked(text)
    first, last = 0, len(code)
    *struct, function = name.split("::")
    if struct:
        place = only(rf"^struct {struct[0]}\b[^;{{]*\{{", code, name)
        first, last = closing(code, place.start(), "{", name)
    place = only(rf"^ *[\w:<>* ]+\b{function}\((?=[^;{{]*\{{)", code[first:last], name)
    _, parameters = closing(code, first + place.end() - 1, "(", name)
    begin, end = closing(code, parameters, "{", name)
    if code[parameters + 1 : begin].strip() not in ("", "override"):
        sys.exit(f"patch.py: {name} is no definition")
    return begin + 1, end


def with_body(text, name, statement):
    begin, end = body(text, name)
    indent = re.search(r"[ ]*$", text[:end]).group()
    return f"{text[:begin]}\n{indent}    {statement}\n{indent}{text[end:]}"


def with_beginning(text, name, statement):
    begin, _ = body(text, name)
    return f"{text[:begin]}\n    {statement}{text[begin:]}"


def without_class(text, name, replacement):
    code = blanked(text)
    begin = only(rf"^class {name} : public RNG \{{", code, name).start()
    _, end = closing(code, begin, "{", name)
    if code[end : end + 2] != "};":
        sys.exit(f"patch.py: {name} has no end")
    return text[:begin] + replacement + text[end + 2 :]


def including(text, header, name):
    end = only(rf'^#include "{header}"\n', text, f"{name}'s include of {header}").end()
    return text[:end] + INCLUDE + text[end:]


def link(source, output):
    for path in sorted(source.iterdir()):
        if path.is_dir():
            (output / path.name).symlink_to(path.resolve(), target_is_directory=True)
        else:
            (output / path.name).symlink_to(path.resolve())


def write(source, output, name, text):
    """Writes a changed file in place of its link; how many lines came and went."""
    before = (source / name).read_text()
    (output / name).unlink()
    (output / name).write_text(text)
    lines = list(difflib.unified_diff(before.splitlines(), text.splitlines(), n=0))[2:]
    return sum(line[0] == "+" for line in lines), sum(line[0] == "-" for line in lines)


def main():
    source, output = map(pathlib.Path, sys.argv[1:])
    output.mkdir(parents=True)
    link(source, output)
    counts = []
    for name, classes in CLASSES.items():
        text = including((source / name).read_text(), "rng.hpp", name)
        for class_name, replacement in classes.items():
            text = without_class(text, class_name, replacement)
        counts.append(write(source, output, name, text))
    text = including((source / "denoiser.hpp").read_text(), "tensor.hpp", "denoiser.hpp")
    for name, statement in BODIES.items():
        text = with_body(text, name, statement)
    for name, statement in BEGINNINGS.items():
        text = with_beginning(text, name, statement)
    counts.append(write(source, output, "denoiser.hpp", text))
    added, removed = map(sum, zip(*counts))
    print(f"{len(counts)} files, {added} lines added, {removed} removed")


main()
