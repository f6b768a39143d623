// The form starts a worker for each job and ends it to stop; what the worker posts is shown.

const [form] = document.forms;
const { seed, digit, sampler, evaluations, button } = form.elements;
const [canvas, progress, count, status, save] =
  ["canvas", "progress", "count", "status", "save"].map((id) => document.getElementById(id));
const context = canvas.getContext("2d");
const still = matchMedia("(prefers-reduced-motion: reduce)");
let files, worker;

const read = async (name) => {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
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
    seed: BigInt(seed.value), digit: Number(digit.value), sampler: sampler.value,
    evaluations: evaluations.valueAsNumber,
  };
  const digits = job.digit < 10 ? `of the class ${job.digit}` : "of the classes 0 to 9, one a row";
  worker = new Worker("worker.js");
  worker.onerror = (event) => end(`Failed: ${event.message}`);
  worker.onmessage = ({ data: { step, steps, frame, milliseconds, png, error } }) => {
    if (frame) {
      show(step, steps);
      if (!still.matches || step === steps) {
        context.putImageData(new ImageData(frame, canvas.width), 0, 0);
        canvas.ariaLabel = step < steps ? `Noise turning into digits ${digits}` : `A hundred handwritten digits ${digits}`;
      }
    } else if (png) {
      URL.revokeObjectURL(save.href);
      save.href = URL.createObjectURL(png);
      const parts = ["digits", job.sampler, job.seed, job.evaluations];
      if (job.digit < 10) parts.push(job.digit);
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
  evaluations.value = sampler.selectedOptions[0].dataset.evaluations ?? 20;
});

// A seed has 64 bits, more than a number field can tell apart.
seed.addEventListener("input", () => {
  const valid = /^\d+$/.test(seed.value) && BigInt(seed.value) < 2n ** 64n;
  seed.setCustomValidity(valid ? "" : `A whole number from 0 to ${2n ** 64n - 1n}`);
});

// Until there are digits: their places.
context.fillStyle = "#404040";
context.fillRect(0, 0, canvas.width, canvas.height);
context.fillStyle = "#000";
for (let i = 0; i < 100; i++) context.fillRect(1 + (i % 10) * 9, 1 + Math.floor(i / 10) * 9, 8, 8);

try {
  const names = ["digits.wasm", "weights.safetensors", "scheduler_config.json"];
  const [wasm, weights, config] = await Promise.all(names.map(read));
  files = { module: await WebAssembly.compile(wasm), weights, config };
  status.textContent = "Ready.";
  button.disabled = false;
} catch (error) {
  end(`Failed: ${error.message}`);
}
