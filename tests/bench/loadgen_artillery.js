// loadgen_artillery.js - what Artillery's websocket engine needs to play cameras: binary frames and
// a look at the clock. Each session adds a line of JSON to the file named by OUT when it is done.
"use strict";
const fs = require("fs");

const fps = Number(process.env.FPS), count = Number(process.env.COUNT);
const frame = Buffer.alloc(Number(process.env.BYTES), 0x20);
frame.set([0xff, 0xd8], 0);
frame.set([0xff, 0xd9], frame.length - 2);
const now = () => Number(process.hrtime.bigint() / 1000n);

module.exports = {
  sendFrame(context, events, done) {
    const v = context.vars;
    if (!v.camera) {
      v.camera = { start: now(), sent: 0, late: [], latency: [] };
      context.ws.on("message", (data) => {
        const reply = JSON.parse(data);
        if (reply.frame_index !== undefined)
          v.camera.latency.push(now() - (v.camera.start + (reply.frame_index * 1e6) / fps));
      });
    }
    const c = v.camera;
    const due = c.start + (c.sent++ * 1e6) / fps;
    // Artillery's own "think" counts from when the step begins and drifts.
    setTimeout(() => {
      context.ws.send(frame);
      c.late.push(now() - due);
      done();
    }, Math.max(0, (due - now()) / 1000));
  },
  finish(context, events, done) {
    const c = context.vars.camera;
    fs.appendFileSync(process.env.OUT, JSON.stringify({ late: c.late, latency: c.latency }) + "\n");
    return done();
  },
};
