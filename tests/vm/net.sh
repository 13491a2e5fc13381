# A long, lossy, narrow way to the server: what arrives is still young.
. /mnt/lib.sh

modprobe vhci-hcd
modprobe uvcvideo
fakeuvc 2>/dev/null &
wait_for /dev/video0
stream plain /dev/video0 -n 60 -p null
/usr/bin/tc qdisc add dev eth0 root netem delay 40ms loss 1% rate 8mbit limit 1000
stream netem /dev/video0 -d 20s -p null --budget 200ms
/usr/bin/tc qdisc del dev eth0 root
/usr/bin/tc qdisc add dev eth0 root netem delay 40ms rate 1mbit limit 1000
stream narrow /dev/video0 -d 15s -p null --budget 200ms
exit 0
