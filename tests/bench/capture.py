"""bench-capture: what a camera costs streamctl.

  capture.py --build build/plain [--rounds 5] [--into README.md]

Encoding YUYV 1280x720 at quality 80, on one core, in turns with tjbench on the same picture: from
planes (-yuv: only the encoding) and from RGB (with the conversion, as tjbench usually runs). Then the
pool with one and with two threads, on two cores. Then whole streamctl processes: a camera of 100
frames/s through the stand-in of the tests, JPEGs as they come and YUYV encoded, by CPU time. All
are medians; the ratios are of neighbours in time.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

import servers
import table

BEGIN, END = "<!-- bench-capture -->", "<!-- /bench-capture -->"
CORE, OTHER = 0, 1
SECONDS = "2"
STREAM_S = 5


def on_core(*command, env=None, core=CORE):
    done = subprocess.run(["taskset", "-c", str(core), *map(str, command)], check=True,
                          capture_output=True, text=True, env=env)
    return done.stdout


def tjbench_us(ppm, *options):
    out = on_core("tjbench", ppm, 80, "-subsamp", 422, *options, "-benchtime", SECONDS,
                  "-nowrite", "-quiet")
    row = next(line for line in out.splitlines() if "4:2:2" in line)
    columns = re.sub(r"\(\w+\)", "", row).split()
    width, height = int(columns[3]), int(columns[4])
    mpixels_per_s = float(columns[6 if "-yuv" in options else 5])
    return width * height / mpixels_per_s


def stream_us(build, port, source, env):
    """CPU of a whole streamctl a frame, in us."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = on_core(build / "streamctl", "stream", source, f"127.0.0.1:{port}", "-q", "-p", "null",
                  "-d", f"{STREAM_S}s", env={**os.environ, **env})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    end = json.loads(out.splitlines()[-1])
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return cpu_s * 1e6 / end["sent"]


def make_jpeg(build, path):
    """A test picture of about 46 KB."""
    for side in range(640, 2400, 40):
        subprocess.run([build / "streamctl", "snap", f"test:{side}x{side * 3 // 4}", "-o", path],
                       check=True)
        if path.stat().st_size >= 46000:
            return


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--into", type=pathlib.Path)
    args = parser.parse_args()
    if not shutil.which("tjbench"):
        sys.exit("no tjbench here: install libjpeg-turbo-progs")
    bench = args.build / "bench" / "capture_bench"
    seen = {name: [] for name in ("ours", "yuv", "rgb", "one", "two", "mjpeg", "yuyv")}
    with tempfile.TemporaryDirectory() as folder:
        ppm, jpeg = pathlib.Path(folder) / "p.ppm", pathlib.Path(folder) / "p.jpg"
        subprocess.run([bench, "ppm", ppm], check=True)
        make_jpeg(args.build, jpeg)
        shim = {"LD_PRELOAD": str((args.build / "tests" / "v4l2shim.so").resolve())}
        with servers.Streamd(args.build / "streamd", OTHER, 0, [], "latest") as server:
            port = server.ports[0]
            for n in range(args.rounds):
                print(f"round {n + 1} of {args.rounds}", file=sys.stderr)
                seen["ours"].append(float(on_core(bench, "encode", SECONDS)))
                seen["yuv"].append(tjbench_us(ppm, "-yuv"))
                seen["rgb"].append(tjbench_us(ppm))
                for name, threads in (("one", 1), ("two", 2)):
                    done = subprocess.run([bench, "pool", str(threads), SECONDS], check=True,
                                          capture_output=True, text=True)
                    seen[name].append(float(done.stdout))
                seen["mjpeg"].append(stream_us(args.build, port, "/dev/video0,fps=100",
                                               {**shim, "V4L2SHIM_FRAME": str(jpeg)}))
                seen["yuyv"].append(stream_us(args.build, port,
                                              "/dev/video0,size=1280x720,fps=100",
                                              {**shim, "V4L2SHIM_FORMATS": "YUYV"}))
        n_bytes = jpeg.stat().st_size
    show(seen, n_bytes, args.into)


def put_into(path, text):
    head, _, rest = path.read_text().partition(BEGIN)
    _, _, tail = rest.partition(END)
    path.write_text(f"{head}{BEGIN}\n{text}{END}{tail}")


def show(seen, n_bytes, into):
    mid = {name: statistics.median(values) for name, values in seen.items()}
    ratio = {"yuv": statistics.median(a / b for a, b in zip(seen["ours"], seen["yuv"])),
             "rgb": statistics.median(a / b for a, b in zip(seen["ours"], seen["rgb"])),
             "pool": statistics.median(b / a for a, b in zip(seen["one"], seen["two"]))}
    rows = [
        ("encode YUYV 1280x720, beside tjbench from planes",
         f"{mid['ours']:.0f} us : {mid['yuv']:.0f} us", f"{ratio['yuv']:.2f}", "1.15 or less"),
        ("the same, beside tjbench from RGB",
         f"{mid['ours']:.0f} us : {mid['rgb']:.0f} us", f"{ratio['rgb']:.2f}", ""),
        ("two encoder threads beside one",
         f"{mid['two']:.0f}/s : {mid['one']:.0f}/s", f"{ratio['pool']:.2f}", "1.8 or more"),
        (f"streamctl, JPEG of {n_bytes // 1000} KB passed through: CPU a frame",
         f"{mid['mjpeg']:.0f} us", "", ""),
        ("streamctl, flat YUYV 1280x720 encoded: CPU a frame", f"{mid['yuyv']:.0f} us", "", ""),
    ]
    text = table.grid(["what", "measured", "ratio", "must be"], rows)
    print(text)
    if into:
        put_into(into, text)


if __name__ == "__main__":
    main()
