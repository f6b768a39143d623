// A job of the digits: takes what page.js posts, answers with a frame a step, then with the picture
// or with what went wrong.

importScripts("module.js");

onmessage = ({ data: job }) => answer(() => {
  const { exports, begin, png } = instantiate(job);
  begin(exports.sample, job);
  return png;
});
