"use strict";
// node run.js PAGE IMAGES RESULT: what the net in a page says of images, computed by the page's own script.
// IMAGES are bytes, one image after another; RESULT becomes their answers, float32.

const fs = require("node:fs");
const os = require("node:os");
const vm = require("node:vm");
const { Worker, isMainThread, workerData } = require("node:worker_threads");

const AT_LEAST = 250; // images that are worth a thread of their own

function main([page, images, result]) {
  const text = fs.readFileSync(page, "utf8");
  const element = (id) => text.match(new RegExp(`<script[^>]* id="${id}"[^>]*>([^]*?)</script>`))[1];
  const { size, columns } = JSON.parse(element("model"));
  const pixels = shared(fs.readFileSync(images));
  const n = pixels.length / size.reduce((a, b) => a * b);
  const found = new Float32Array(new SharedArrayBuffer(4 * n * columns));
  const threads = Math.max(1, Math.min(os.availableParallelism?.() ?? os.cpus().length, Math.floor(n / AT_LEAST)));
  const net = { engine: element("engine"), model: element("model"), weights: element("weights") };
  let working = threads;
  for (let thread = 0; thread < threads; thread++) {
    const worker = new Worker(__filename, { workerData: { net, pixels, found, thread, threads, n } });
    worker.on("exit", () => --working || fs.writeFileSync(result, Buffer.from(found.buffer)));
  }
}

function shared(bytes) {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
}

function work({ net: { engine, model, weights }, pixels, found, thread, threads, n }) {
  const { operations, size } = JSON.parse(model);
  vm.runInThisContext(engine);
  const net = vm.runInThisContext("(...parts) => new Net(...parts)")(operations, weights, size);
  const each = pixels.length / n;
  for (let i = thread; i < n; i += threads) {
    const row = net.answers(pixels.subarray(i * each, (i + 1) * each));
    found.set(row, i * row.length);
  }
}

if (isMainThread) main(process.argv.slice(2));
else work(workerData);
