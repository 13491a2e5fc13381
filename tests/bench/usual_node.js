// usual_node.js - a frame server as one writes it with node's ws: the yardstick of bench.
//
//   node usual_node.js      listens on a free port of 127.0.0.1 and tells it on stderr
"use strict";
const { WebSocketServer } = require("ws");

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });

server.on("listening", () =>
  console.error(JSON.stringify({ event_type: "listening", port: server.address().port })));

server.on("connection", (ws) => {
  let index = 0;
  ws.on("message", (frame) => {
    const n = frame.length;
    if (frame[0] !== 0xff || frame[1] !== 0xd8 || frame[n - 2] !== 0xff || frame[n - 1] !== 0xd9)
      return ws.close();
    ws.send(JSON.stringify({ frame_index: index++, result: { detections: [] } }));
  });
});
