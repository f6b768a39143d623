// The form starts a worker for each job and ends it to stop; what the worker posts is shown.

const [form] = document.forms;
const { kind, class: label, seed, sampler, evaluations, button } = form.elements;
const [about, canvas, progress, count, status, save] =
  ["about", "canvas", "progress", "count", "status", "save"].map((id) => document.getElementById(id));
const context = canvas.getContext("2d");
const still = matchMedia("(prefers-reduced-motion: reduce)");
let files, worker;

// What there is of each kind: its files, its frame as the worker draws it, and words.
const kinds = {
  digits: {
    files: ["digits.wasm", "weights.safetensors", "scheduler_config.json"],
    worker: "worker.js", columns: 10, rows: 10, side: 8, evaluations: 20,
    heading: "Digits from noise", about: about.textContent,
    classes: [..."0123456789"], all: "of the classes 0 to 9, one a row",
    empty: "Empty places for a hundred digits", noisy: "Noise turning into digits", many: "A hundred handwritten digits",
  },
  clothes: {
    files: ["clothes/clothes.wasm", "clothes/weights.safetensors", "clothes/scheduler_config.json"],
    worker: "clothes.js", columns: 4, rows: 5, side: 28, evaluations: 10,
    heading: "Clothes from noise",
    about: `Twenty pictures of clothes, sampled in this tab by vesde and a U-Net of two million weights. The same seed gives the
      pictures that the programs in Rust and C++ make.`,
    classes: ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"],
    all: "of ten classes, two of each",
    empty: "Empty places for twenty clothes", noisy: "Noise turning into clothes", many: "Twenty clothes",
  },
};

const read = async (name) => {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
};

const load = async (names) => {
  const [wasm, weights, config] = await Promise.all(names.map(read));
  return { module: await WebAssembly.compile(wasm), weights, config };
};

const show = (step, of) => {
  progress.max = of;
  progress.value = step;
  count.textContent = `${step} of ${of}`;
};

const end = (text) => {
  worker?.terminate();
  worker = undefined;
  button.textContent = "Start";
  status.textContent = text;
};

const start = () => {
  const job = {
    seed: BigInt(seed.value), class: Number(label.value), sampler: sampler.value,
    evaluations: evaluations.valueAsNumber,
  };
  const name = kind.value, { worker: file, classes, all, noisy, many } = kinds[name];
  const which = job.class < 10 ? `of the class ${classes[job.class]}` : all;
  worker = new Worker(file);
  worker.onerror = (event) => end(`Failed: ${event.message}`);
  worker.onmessage = ({ data: { step, steps, frame, milliseconds, png, error } }) => {
    if (frame) {
      show(step, steps);
      if (!still.matches || step === steps) {
        context.putImageData(new ImageData(frame, canvas.width), 0, 0);
        canvas.ariaLabel = `${step < steps ? noisy : many} ${which}`;
      }
    } else if (png) {
      URL.revokeObjectURL(save.href);
      save.href = URL.createObjectURL(png);
      const parts = [name, job.sampler, job.seed, job.evaluations];
      if (job.class < 10) parts.push(classes[job.class].toLowerCase().replace(" ", "-"));
      save.download = `${parts.join("-")}.png`;
      save.hidden = false;
      end(`Done in ${milliseconds.toFixed(0)} ms.`);
    } else {
      end(`Failed: ${error}`);
    }
  };
  worker.postMessage({ ...files, ...job });
  button.textContent = "Stop";
  status.textContent = "Sampling…";
  save.hidden = true;
  show(0, job.evaluations);
};

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (worker) end(`Stopped at step ${count.textContent}.`);
  else start();
});

// What a sampler needs: EDM's and the predictor–corrector one more calls than the others.
sampler.addEventListener("change", () => {
  evaluations.value = sampler.selectedOptions[0].dataset.evaluations ?? kinds[kind.value].evaluations;
});

// A seed has 64 bits, more than a number field can tell apart.
seed.addEventListener("input", () => {
  const valid = /^\d+$/.test(seed.value) && BigInt(seed.value) < 2n ** 64n;
  seed.setCustomValidity(valid ? "" : `A whole number from 0 to ${2n ** 64n - 1n}`);
});

// The empty places, and then the files, which are fetched once.
const choose = async () => {
  const name = kind.value, { columns, rows, side, classes, heading, about: text, empty, files: names } = kinds[name];
  document.title = `${heading} · vesde`;
  document.querySelector("h1").textContent = heading;
  about.textContent = text;
  classes.forEach((text, i) => label.options[i + 1].text = text);
  label.value = "10";
  sampler.dispatchEvent(new Event("change"));
  show(0, evaluations.value);
  canvas.width = columns * (side + 1) + 1;
  canvas.height = rows * (side + 1) + 1;
  canvas.ariaLabel = empty;
  context.fillStyle = "#404040";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = "#000";
  for (let y = 1; y < canvas.height; y += side + 1)
    for (let x = 1; x < canvas.width; x += side + 1) context.fillRect(x, y, side, side);

  save.hidden = true;
  button.disabled = true;
  end("Loading…");
  try {
    kinds[name].loaded ??= await load(names);
    if (kind.value !== name) return; // another was chosen meanwhile
    files = kinds[name].loaded;
    status.textContent = "Ready.";
    button.disabled = false;
  } catch (error) {
    if (kind.value === name) end(`Failed: ${error.message}`);
  }
};

kind.addEventListener("change", choose);
choose();
