"""The usual small video server, as the yardstick of bench-overload.

FastAPI, uvicorn and websockets as Debian ships them. Frames are decoded and inferred on
the event loop, and dropped by a cumulative rate. Written from the published
description, not tuned in either direction. The work is time.sleep(), which stands for
decoding and inference alike, so that both servers of a comparison do the same work.

  usual_server.py --port 9001 --port 9002 --pipeline slow=delay:ms=50

One process per port, as `uvicorn --workers N` would have, but so that the caller decides
which session goes to which process.
"""

import argparse
import os
import random
import time

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

BUDGET_S = 0.037
DROP_THRESHOLD = 0.10
SLOWDOWN_THRESHOLD = 0.30


def parse_pipeline(text):
    """NAME=KIND[:key=value,...], as streamd has it: (name, parameters)."""
    name, _, spec = text.partition("=")
    pairs = (pair.split("=") for pair in spec.partition(":")[2].split(",") if pair)
    return name, {key: float(value) for key, value in pairs}


def infer(work, frame_index):
    """Sleeps as streamd's pipeline `delay` does with the same parameters."""
    ms = work.get("ms", 0)
    if frame_index == 0:
        ms += work.get("first_ms", 0)
    if random.random() < work.get("slow_share", 0):
        ms += work.get("slow_ms", 0)
    if ms > 0:
        time.sleep(ms / 1000)
    return {}


def decode(frame):
    if frame[:2] != b"\xff\xd8" or frame[-2:] != b"\xff\xd9":
        raise ValueError("not a JPEG")


def make_app(pipelines):
    app = FastAPI()

    @app.websocket("/ws/video/stream")
    async def stream(ws: WebSocket):
        await ws.accept()
        work = pipelines[ws.query_params["pipeline_id"]]
        received = dropped = 0
        warned = False
        try:
            while True:
                frame = await ws.receive_bytes()
                index = received
                received += 1
                if dropped / received > DROP_THRESHOLD:
                    dropped += 1
                    await ws.send_json({"frame_index": index, "dropped": True})
                else:
                    started = time.perf_counter()
                    decode(frame)
                    result = infer(work, index)
                    if time.perf_counter() - started > BUDGET_S:
                        dropped += 1
                        await ws.send_json({"frame_index": index, "dropped": True})
                    else:
                        await ws.send_json({"frame_index": index, "result": result})
                if dropped / received > SLOWDOWN_THRESHOLD and not warned:
                    warned = True
                    await ws.send_json({"warning": "slow_down"})
        except WebSocketDisconnect:
            pass

    return app


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, action="append", required=True)
    parser.add_argument("--pipeline", action="append", default=[])
    args = parser.parse_args()
    pipelines = {"null": {}, **dict(map(parse_pipeline, args.pipeline))}
    for port in args.port[1:]:
        if os.fork() == 0:
            args.port = [port]
            break
    uvicorn.run(
        make_app(pipelines),
        host="127.0.0.1",
        port=args.port[0],
        log_level="warning",
        access_log=False,
        ws="websockets",
        ws_ping_interval=None,  # a busy event loop would miss its own pings and hang up
    )


if __name__ == "__main__":
    main()
