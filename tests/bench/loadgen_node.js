// loadgen_node.js - what one would write with node's ws: N sessions, one schedule, open loop.
//
//   node loadgen_node.js URL SESSIONS FPS SECONDS BYTES
//
// Frame k of session i is due at start + (i / N + k) / fps. Prints one line of JSON.
"use strict";
const WebSocket = require("ws");

const [url, nText, fpsText, secondsText, bytesText] = process.argv.slice(2);
const n = Number(nText), fps = Number(fpsText), seconds = Number(secondsText);
const frame = Buffer.alloc(Number(bytesText), 0x20);
frame.set([0xff, 0xd8], 0);
frame.set([0xff, 0xd9], frame.length - 2);

const now = () => Number(process.hrtime.bigint() / 1000n);
const late = [], latency = [];
const sessions = [];
let start = 0, due = 0, answered = 0;
const total = n * fps * seconds;

function open(i) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url, { perMessageDeflate: false });
    const s = { ws, dues: [] };
    ws.on("open", () => { sessions[i] = s; resolve(); });
    ws.on("error", reject);
    ws.on("message", (data) => {
      const reply = JSON.parse(data);
      if (reply.frame_index === undefined) return;
      latency.push(now() - s.dues[reply.frame_index]);
      if (++answered === total) finish();
    });
  });
}

// All that is due, in order of its time: frame m of the whole load is session m % n's.
function tick() {
  const t = now();
  for (; due < total; due++) {
    const at = start + (due * 1e6) / (n * fps);
    if (at > t) break;
    const s = sessions[due % n];
    s.dues.push(at);
    s.ws.send(frame);
    late.push(now() - at);
  }
  if (due < total) setTimeout(tick, 1);
  else setTimeout(finish, 5000).unref();
}

let finished = false;
function finish() {
  if (finished) return;
  finished = true;
  const usage = process.cpuUsage(before);
  const ascending = (a, b) => a - b;
  late.sort(ascending);
  latency.sort(ascending);
  const share = (us) => late.filter((v) => v <= us).length / total;
  const percentile = (v, p) => (v.length ? v[Math.min(v.length - 1, Math.ceil(v.length * p) - 1)] : null);
  console.log(JSON.stringify({
    sent: late.length, answered, in_slot: share(1e6 / fps), in_5ms: share(5000),
    p99_us: answered === total ? percentile(latency, 0.99) : null,
    cpu_us_per_frame: (usage.user + usage.system) / Math.max(1, late.length),
    rss_kib: Math.round(process.resourceUsage().maxRSS),
  }));
  process.exit(0);
}

let before;
(async () => {
  for (let i = 0; i < n; i += 50)
    await Promise.all(Array.from({ length: Math.min(50, n - i) }, (_, k) => open(i + k)));
  before = process.cpuUsage();
  start = now() + 100000;
  setTimeout(tick, 100);
})();
