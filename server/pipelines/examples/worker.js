#!/usr/bin/env node
// Tells how large each picture is: see streamd-pipeline(7).
"use strict";
const net = require("net");

// Standard input and output are one socket: it is opened once, for both ways.
const socket = new net.Socket({ fd: 0, readable: true, writable: true });
const tell = (line) => socket.write(JSON.stringify(line) + "\n");

function answer(header, jpeg) {
  const seq = Number(header.readBigUInt64LE(16));
  const width = header.readUInt32LE(8), height = header.readUInt32LE(12);
  tell({ seq, result: { bytes: jpeg.length, width, height } });
}

let header = null; // of the frame that is arriving
socket.on("readable", () => {
  for (;;) {
    header = header || socket.read(32); // all 32 bytes or null; fewer only at the end
    if (header === null || header.length < 32) return;
    if (header.toString("latin1", 0, 4) !== "SPW1") throw new Error("this is not a frame");
    const n = header.readUInt32LE(4);
    const jpeg = socket.read(n);
    if (jpeg === null || jpeg.length < n) return;
    answer(header, jpeg);
    header = null;
  }
});
socket.on("error", () => socket.destroy()); // streamd is gone: the same as the end of file

// A model is loaded here: no frame comes before the hello.
tell({ protocol: 1, name: "size", version: "1.0", format: "jpeg" });
