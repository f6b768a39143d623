// A job of the clothes, as worker.js has the digits'. It starts more workers of this file, which
// share each call of the network: a picture's answer does not depend on the others.

importScripts("module.js");

const CLOTHES = 20, PIXELS = 28 * 28, MOST_WORKERS = 4;

// The pictures from `first` on, as the module has them, and its answers. A message takes a slice,
// since of a view it would clone the whole memory.
const views = ({ memory, picture_at, answer_at }, first, count) =>
  [picture_at, answer_at].map((at) => new Float32Array(memory.buffer, at(first), count * PIXELS));

// Answers for its pictures, whenever it is given them.
const help = (job) => {
  const { exports, begin } = instantiate(job), { first, count } = job.share;
  begin(exports.start, job);
  const [pictures, answers] = views(exports, first, count);
  onmessage = ({ data: { sigma, noisy } }) => {
    pictures.set(noisy);
    exports.evaluate(first, count, sigma);
    postMessage(answers.slice());
  };
};

const startHelper = (job, exports, share) => {
  const worker = new Worker("clothes.js");
  const [pictures, answers] = views(exports, share.first, share.count);
  worker.postMessage({ ...job, share });
  return (sigma) => new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(answers.set(data));
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage({ sigma, noisy: pictures.slice() });
  });
};

const lead = async (job) => {
  const { exports, begin, text, png } = instantiate(job);
  begin(exports.start, job);
  // Some browsers do not tell their cores, or let no worker start another.
  const cores = typeof Worker === "function" && navigator.hardwareConcurrency || 1;
  const workers = Math.min(cores, MOST_WORKERS);
  const from = (worker) => Math.floor(CLOTHES * worker / workers);
  const helpers = [];
  for (let worker = 1; worker < workers; worker++) {
    const first = from(worker);
    helpers.push(startHelper(job, exports, { first, count: from(worker + 1) - first }));
  }
  for (;;) {
    const sigma = exports.next();
    if (sigma === 0) return png;
    if (sigma < 0) throw new Error(text(exports.failure(sigma)));
    const answered = helpers.map((ask) => ask(sigma));
    exports.evaluate(0, from(1), sigma);
    await Promise.all(answered);
  }
};

onmessage = ({ data: job }) => job.share ? help(job) : answer(() => lead(job));
