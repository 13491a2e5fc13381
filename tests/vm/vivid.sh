# vivid: every raw format, sizes and rates, the faults it can inject, HDMI, multi-planar.
. /mnt/lib.sh

vivid
run devices streamctl devices --json
run controls streamctl controls /dev/video0 --json
run controls_set streamctl controls v4l2:card=vivid --set contrast=100,saturation=12
run controls_range streamctl controls /dev/video0 --set contrast=900
run controls_name streamctl controls /dev/video0 --set nothing=1
for format in YUYV UYVY YVYU VYUY NV12 NV21 YU12 YV12 RGB3 BGR3 GREY; do
    stream format_$format /dev/video0,format=$format,size=320x180 -n 4 -p inspect
done
stream size_640 /dev/video0,size=640x360,format=YUYV -n 4 -p inspect
stream size_1280 /dev/video0,size=1280x720,format=NV12 -n 2 -p inspect
stream rate_10 /dev/video0,size=320x180,fps=10 -d 3s -p null
stream libv4l2 /dev/video0,size=320x180,format=YU12 -n 3 -p inspect --libv4l2
stream auto /dev/video0 -n 3 -p inspect
stream other_size /dev/video0,size=333x222 -n 2 -p null
stream strict /dev/video0,size=333x222 -n 2 -p null --strict
stream no_mjpg /dev/video0,format=mjpg -n 2 -p null
run snap streamctl snap v4l2:card=vivid,size=320x180 -o $out/snap.jpg --skip 2

# what drivers do
small=/dev/video0,size=320x180,format=YUYV
control percentage_of_dropped_buffers=50
stream dropped $small -n 15 -p null
control percentage_of_dropped_buffers=0
stream_later flagged $small -d 3s -p null
wait_for_line flagged '"result"'
control inject_v4l2_buf_flag_error=1
settle
stream_later fatal $small -d 4s -p null
wait_for_line fatal '"result"'
control inject_fatal_streaming_error=1
settle
# no server, so a frame is held in a buffer of the driver's while it is opened again
run held streamctl stream $small ws://10.0.2.2:1 -q -d 6s -p null &
holding=$!
wait_for_line held '"event":"source"'
control inject_fatal_streaming_error=1
wait $holding
for call in reqbufs qbuf streamon; do
    control inject_vidioc_${call}_error=1
    stream inject_$call $small -n 2 -p null
done
control timestamp_source=0
stream stamp_end $small -n 5 -p null
control timestamp_source=1
stream_later holder $small -d 5s -p null
wait_for_line holder '"result"'
stream busy /dev/video0,size=640x360,format=NV12 -n 2 -p null --no-reconnect
settle
stream_later disconnect $small -d 6s -p null
wait_for_line disconnect '"result"'
control disconnect=1
settle

# HDMI
hdmi=/dev/video0,input=1,format=YUYV
run input_none streamctl snap /dev/video0,input=9 -o /tmp/x.jpg
v4l2-ctl -d /dev/video0 -i 1
for mode in 1 2 3; do
    control dv_timings_signal_mode=$mode
    run signal_$mode streamctl snap $hdmi -o /tmp/x.jpg
done
control dv_timings_signal_mode=4,dv_timings=1
stream_later signal_goes $hdmi -d 20s -p null --no-reconnect
wait_for_line signal_goes '"result"'
control dv_timings_signal_mode=1
settle
control dv_timings_signal_mode=3
stream_later signal_comes $hdmi -d 6s -p inspect
wait_for_line signal_comes 'no signal\|out of range'
control dv_timings_signal_mode=4,dv_timings=1
wait_for_line signal_comes '"result"'
control dv_timings_signal_mode=4,dv_timings=9
settle

vivid multiplanar=2
for format in YUYV NV12 NM12 YM12; do
    stream mplane_$format /dev/video0,format=$format,size=320x180 -n 3 -p inspect
done
run mplane_devices streamctl devices
exit 0
