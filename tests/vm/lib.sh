# What the scenarios share; runs in the guest, in busybox's sh.
out=/mnt/out
server=$(cat /mnt/server)
mkdir -p $out

# run NAME COMMAND...: its output, errors and status become files that the host looks at
run() {
    name=$1
    shift
    timeout 60 "$@" >$out/$name.out 2>$out/$name.err
    echo $? >$out/$name.rc
}

# stream NAME SOURCE OPTION...: the same for streamctl and the host's streamd
stream() {
    name=$1 source=$2
    shift 2
    run "$name" streamctl stream "$source" "$server" -q "$@"
}

# A scenario's stream in the background; `settle` waits for it.
stream_later() {
    stream "$@" &
    streaming=$!
}
settle() { wait $streaming; }

wait_for() { # PATH
    i=0
    while [ ! -e "$1" ] && [ $i -lt 80 ]; do
        i=$((i + 1))
        usleep 100000
    done
    [ -e "$1" ]
}

wait_for_line() { # NAME TEXT: until the stream's output has it
    i=0
    while ! grep -q "$2" $out/$1.out 2>/dev/null && [ $i -lt 200 ]; do
        i=$((i + 1))
        usleep 100000
    done
}

# vivid OPTION...: input 0 a webcam, input 1 HDMI. Its stamps of the end of a frame lie ahead, so
# it stamps the exposure.
vivid() {
    rmmod vivid 2>/dev/null
    modprobe vivid n_devs=1 node_types=0x1 num_inputs=2 input_types=0xc "$@"
    wait_for /dev/video0
    v4l2-ctl -d /dev/video0 -c timestamp_source=1
}
control() { v4l2-ctl -d /dev/video0 -c "$1"; }
