# The kernel's own uvcvideo on a USB camera that fakeuvc plays: formats, broken frames, unplugging.
. /mnt/lib.sh

# camera FAULT...: plugged in; `unplug` and `plug` pull it out and put it back
camera() {
    [ -n "$player" ] && kill "$player" && wait "$player"
    i=0
    while ls /dev/video* >/dev/null 2>&1 && [ $i -lt 50 ]; do i=$((i + 1)); usleep 100000; done
    usleep 300000 # vhci-hcd frees its port later than the node
    fakeuvc "$@" 2>>$out/fakeuvc.log &
    player=$!
    wait_for /dev/video0
}
unplug() { kill -USR1 "$player"; }
plug() { kill -USR2 "$player"; }

modprobe vhci-hcd
modprobe uvcvideo nodrop=1
camera
run devices streamctl devices --json
run metadata streamctl snap /dev/video1 -o /tmp/x.jpg
run controls streamctl controls v4l2:serial=SN0001 --set exposure_time_absolute=200,auto_exposure=manual,brightness=-7
stream mjpg "v4l2:card=fake uvc" -n 30 -p inspect
stream yuyv v4l2:serial=SN0001,format=yuyv,size=320x240 -n 10 -p inspect
stream sizes /dev/video0,size=1280x720,fps=15 -n 10 -p inspect
stream first v4l2: -n 2 -p null
run dry streamctl stream /dev/video0,fps=15 --dry-run
run snap streamctl snap /dev/video0 -o $out/snap.jpg

for kind in trunc err empty garbage nodht pad; do
    camera every:5:$kind
    stream fault_$kind /dev/video0 -n 20 -p inspect
done
camera every:5:trunc
stream allow_truncated /dev/video0 -n 20 -p inspect --allow-truncated
camera every:20:stall
stream stall /dev/video0 -n 30 -p null --stall 1s

# pulled out in mid-stream and put back
camera
stream_later replug "v4l2:card=fake uvc" -d 8s -p null
wait_for_line replug '"result"'
unplug
wait_for_line replug 'unplugged'
plug
settle

# again and again: what is open and what is used must not grow
camera
streamctl stream "v4l2:card=fake uvc" $server -p null >$out/cycles.out 2>$out/cycles.err &
streaming=$!
wait_for_line cycles '"result"'
cycle() {
    n=$(grep -c '"event":"source"' $out/cycles.out)
    unplug
    i=0
    while [ -e /dev/video0 ] && [ $i -lt 100 ]; do i=$((i + 1)); usleep 20000; done
    usleep 300000 # as above
    plug
    i=0
    while [ "$(grep -c '"event":"source"' $out/cycles.out)" = "$n" ] && [ $i -lt 200 ]; do
        i=$((i + 1))
        usleep 50000
    done
}
usage() {
    ls /proc/$streaming/fd | wc -l
    grep VmRSS /proc/$streaming/status | tr -dc 0-9
}
for i in 1 2 3 4 5; do cycle; done
usage >$out/cycles.before
for i in $(seq 95); do cycle; done
usage >$out/cycles.after
kill -INT $streaming
wait $streaming
echo $? >$out/cycles.rc

# Somebody else has the old node open, so the camera comes back under another number. The last
# scene: the number stays taken afterwards.
camera
exec 3</dev/video0
stream_later renumbered /dev/video0 -d 9s -p null
wait_for_line renumbered '"result"'
unplug
wait_for_line renumbered 'unplugged'
usleep 500000
plug
settle
ls /dev/video* >$out/renumbered.nodes
kill "$player"
exit 0
