// What the workers share: a module of a job, with its files in its memory.

const instantiate = ({ module }) => {
  const png = [];
  const copy = (at, len) => new Uint8ClampedArray(memory.buffer, at, len).slice();
  const { exports } = new WebAssembly.Instance(module, {
    worker: {
      show: (at, len, step, steps) => postMessage({ step, steps, frame: copy(at, len) }),
      put: (to, at, len) => png.push(copy(at, len)),
    },
  });
  const { memory } = exports;
  // Into new memory, so that there is a zero behind the file's end.
  const load = (file) => {
    const at = memory.grow((file.byteLength >> 16) + 1) << 16;
    new Uint8Array(memory.buffer, at).set(new Uint8Array(file));
    return [at, file.byteLength];
  };
  const text = (at) => {
    const bytes = new Uint8Array(memory.buffer, at);
    return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
  };
  // What the C functions take that begin a job.
  const begin = (start, { sampler, weights, config, seed, evaluations, class: class_ }) => {
    const [name] = load(new TextEncoder().encode(sampler));
    const why = start(name, ...load(weights), ...load(config), seed, evaluations, class_);
    if (why !== 0) throw new Error(text(why));
  };
  return { exports, begin, text, png };
};

// Tells the page the time that `run` took, and its picture or what went wrong.
const answer = async (run) => {
  const start = performance.now();
  try {
    const png = await run();
    const milliseconds = performance.now() - start;
    postMessage({ milliseconds, png: new Blob(png, { type: "image/png" }) });
  } catch ({ message }) {
    postMessage({ error: message });
  }
};
