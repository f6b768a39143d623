// One job: takes what page.js posts, answers with a frame a step, then with the picture or with what went wrong.

onmessage = ({ data: { module, weights, config, sampler, seed, evaluations, class: class_ } }) => {
  const parts = [];
  const copy = (at, len) => new Uint8ClampedArray(memory.buffer, at, len).slice();
  const { memory, sample } = new WebAssembly.Instance(module, {
    worker: {
      show: (at, len, step, steps) => postMessage({ step, steps, frame: copy(at, len) }),
      put: (to, at, len) => parts.push(copy(at, len)),
    },
  }).exports;
  // Into new memory, so that there is a zero behind the file's end.
  const load = (file) => {
    const at = memory.grow((file.byteLength >> 16) + 1) << 16;
    new Uint8Array(memory.buffer, at).set(new Uint8Array(file));
    return [at, file.byteLength];
  };

  const start = performance.now();
  const [name] = load(new TextEncoder().encode(sampler));
  const why = sample(name, ...load(weights), ...load(config), seed, evaluations, class_);
  const milliseconds = performance.now() - start;
  if (why === 0) {
    postMessage({ milliseconds, png: new Blob(parts, { type: "image/png" }) });
  } else {
    const text = new Uint8Array(memory.buffer, why);
    postMessage({ error: new TextDecoder().decode(text.subarray(0, text.indexOf(0))) });
  }
};
