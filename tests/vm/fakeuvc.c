/* fakeuvc - a USB webcam that is not there.
 *
 * Speaks USB/IP over a socket pair to the kernel's own vhci-hcd, so the real uvcvideo binds to it:
 * MJPG and YUYV, controls, frames broken on purpose, a true unplug and replug. Each picture has its
 * number in it: 16 blocks along the top, black for 0 and white for 1, the highest bit first.
 *
 *   modprobe vhci-hcd; modprobe uvcvideo; fakeuvc [every:N:KIND | serial:TEXT]... &
 *
 * every:N:KIND breaks each Nth frame; when several fall on the same frame, the last one counts:
 *   empty    a frame without data      trunc  its first half only, and no error flag
 *   garbage  0xaa from end to end      stall  4 s of nothing, then the frame
 *   nodht    no Huffman tables (MJPG)  pad    100 zeros after its end
 *   err      the error bit in all of its payloads
 * serial:TEXT is the serial number, SN0001 when not given.
 *
 * SIGUSR1 unplugs, SIGUSR2 plugs in again, SIGTERM ends; stderr tells what happens. Exit 0: ended
 * by SIGTERM. 1: the kernel would not have the camera. 2: wrong usage.
 *
 * Sources: the kernel's Documentation/usb/usbip_protocol.rst for USB/IP; USB 2.0, chapter 9, for
 * standard requests and descriptors; USB Video Class 1.1 (below: UVC) for the rest. The camera
 * says it is of UVC 1.0, where the processing unit and the probe control are shorter.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <jpeglib.h>
#include <linux/usb/ch9.h>
#include <linux/usb/video.h>

#define VHCI_ATTACH       "/sys/devices/platform/vhci_hcd.0/attach"
#define VHCI_PORT         0
#define DEVICE_ID         0x10001 /* bus 1, device 1: vhci-hcd only repeats it */
#define SEND_BUFFER_BYTES (1 << 20)
#define RECEIVED_MAX      4096 /* bytes to the camera; uvcvideo sends 26 at most */
#define URBS_MAX          64
#define REPLUG_US         300000 /* the hub needs a moment to see its port empty */
#define IDLE_NS           100000000u
#define SECOND_NS         1000000000u
#define ROOM_MS           200 /* without room for so long, a frame is given up */
#define STALL_S           4
#define PAD_BYTES         100
#define SERIAL_MAX        126 /* characters; a descriptor has 255 bytes at most */
#define BLOCK_ROWS        16  /* height of the number in the picture */
#define INVALID_CONTROL   6   /* UVC 4.2.1.2, the error code */
#define JPEG_DHT          0xc4
#define JPEG_SOS          0xda
#define EXIT_USAGE        2

/* ---- what the camera says it is ---- */

enum string { LANGUAGES, MAKER, PRODUCT, SERIAL };
enum interface { CONTROL_IF, STREAM_IF, INTERFACES };
enum entity { CAMERA = 1, PROCESSING, OUTPUT }; /* of the control interface */
enum format { MJPG = 1, YUYV };

struct size {
    unsigned width, height;
};
static const struct size sizes[] = {{640, 480}, {320, 240}, {1280, 720}};
#define N_SIZES (sizeof sizes / sizeof *sizes)

#define STREAM_EP            (USB_DIR_IN | 1)
#define INTERVAL_30          333333 /* 30, 15 and 5 frames a second, in units of 100 ns */
#define INTERVAL_15          666666
#define INTERVAL_5           2000000
#define PAYLOAD_BYTES        16384 /* one bulk transfer, header and all */
#define PAYLOAD_HEADER_BYTES 2     /* UVC 2.4.3.3, without time stamp and clock */
#define PROBE_BYTES          offsetof(struct uvc_streaming_control, dwClockFrequency)

/* clang-format off */
#define LE16(x)       (x) & 255, (x) >> 8 & 255
#define LE32(x)       LE16(x), LE16((x) >> 16)
#define VIDEO         USB_CLASS_VIDEO
#define COLLECTION    UVC_SC_VIDEO_INTERFACE_COLLECTION
#define CS            USB_DT_CS_INTERFACE
#define YUY2          'Y', 'U', 'Y', '2', 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71
#define CONTROL_BYTES (13 + 18 + 11 + 9)
#define STREAM_BYTES  (15 + 11 + 3 * 38 + 6 + 27 + 3 * 38 + 6)
#define CONFIG_BYTES  (9 + 8 + 9 + CONTROL_BYTES + 9 + STREAM_BYTES + 7)

/* A size: the least and the most bits a second, the bytes of a picture, the frame intervals. */
#define FRAME(subtype, index, w, h)                                             \
    38, CS, subtype, index, 0, LE16(w), LE16(h),                                \
    LE32((w) * (h) * 16 * 5), LE32((w) * (h) * 16 * 30), LE32((w) * (h) * 2),   \
    LE32(INTERVAL_30), 3, LE32(INTERVAL_30), LE32(INTERVAL_15), LE32(INTERVAL_5)

static const uint8_t device_descriptor[] = {
    18, USB_DT_DEVICE, LE16(0x0200), USB_CLASS_MISC, 2, 1, 64,           /* USB 2.0, associated interfaces */
    LE16(0x1209), LE16(0x0001), LE16(0x0100), MAKER, PRODUCT, SERIAL, 1, /* pid.codes' number for tests */
};

static const uint8_t config_descriptor[] = {
    9, USB_DT_CONFIG, LE16(CONFIG_BYTES), INTERFACES, 1, 0, USB_CONFIG_ATT_ONE, 250,              /* 500 mA */
    8, USB_DT_INTERFACE_ASSOCIATION, CONTROL_IF, INTERFACES, VIDEO, COLLECTION, 0, 0,             /* both are one camera */

    9, USB_DT_INTERFACE, CONTROL_IF, 0, 0, VIDEO, UVC_SC_VIDEOCONTROL, 0, 0,                      /* no endpoint */
    13, CS, UVC_VC_HEADER, LE16(0x0100), LE16(CONTROL_BYTES), LE32(48000000), 1, STREAM_IF,       /* UVC 1.0, 48 MHz */
    18, CS, UVC_VC_INPUT_TERMINAL, CAMERA, LE16(UVC_ITT_CAMERA), LE32(0), LE32(0), 3, 0x0a, 0, 0, /* exposure mode, time */
    11, CS, UVC_VC_PROCESSING_UNIT, PROCESSING, CAMERA, LE16(0), 2, LE16(0x0403), 0,              /* bits: see controls[] */
    9, CS, UVC_VC_OUTPUT_TERMINAL, OUTPUT, LE16(UVC_TT_STREAMING), 0, PROCESSING, 0,              /* to the host */

    9, USB_DT_INTERFACE, STREAM_IF, 0, 1, VIDEO, UVC_SC_VIDEOSTREAMING, 0, 0,                     /* one endpoint */
    15, CS, UVC_VS_INPUT_HEADER, 2, LE16(STREAM_BYTES), STREAM_EP, 0, OUTPUT, 0, 0, 0, 1, 0, 0,   /* two formats */
    11, CS, UVC_VS_FORMAT_MJPEG, MJPG, 3, 1, 1, 0, 0, 0, 0,                                       /* three sizes: sizes[] */
    FRAME(UVC_VS_FRAME_MJPEG, 1, 640, 480),                                                       /* the default */
    FRAME(UVC_VS_FRAME_MJPEG, 2, 320, 240),
    FRAME(UVC_VS_FRAME_MJPEG, 3, 1280, 720),
    6, CS, UVC_VS_COLORFORMAT, 1, 1, 4,                                                           /* sRGB, matrix of BT.601 */
    27, CS, UVC_VS_FORMAT_UNCOMPRESSED, YUYV, 3, YUY2, 16, 1, 0, 0, 0, 0,                         /* 16 bits a pixel */
    FRAME(UVC_VS_FRAME_UNCOMPRESSED, 1, 640, 480),
    FRAME(UVC_VS_FRAME_UNCOMPRESSED, 2, 320, 240),
    FRAME(UVC_VS_FRAME_UNCOMPRESSED, 3, 1280, 720),
    6, CS, UVC_VS_COLORFORMAT, 1, 1, 4,
    7, USB_DT_ENDPOINT, STREAM_EP, USB_ENDPOINT_XFER_BULK, LE16(512), 0,                          /* 512 bytes a packet */
};
/* clang-format on */

_Static_assert(sizeof config_descriptor == CONFIG_BYTES, "the lengths tell what is there");

struct control {
    uint8_t entity, selector;
    int32_t min, max, step, def;
};
static const struct control controls[] = {
    {CAMERA, UVC_CT_AE_MODE_CONTROL, 1, 8, 15, 8}, /* a bit mask: "step" has the modes there are */
    {CAMERA, UVC_CT_EXPOSURE_TIME_ABSOLUTE_CONTROL, 1, 5000, 1, 156},
    {PROCESSING, UVC_PU_BRIGHTNESS_CONTROL, -64, 64, 1, 0},
    {PROCESSING, UVC_PU_CONTRAST_CONTROL, 0, 100, 1, 50},
    {PROCESSING, UVC_PU_POWER_LINE_FREQUENCY_CONTROL, 0, 2, 1, 1},
};
#define N_CONTROLS (sizeof controls / sizeof *controls)

/* ---- the camera ---- */

enum fault {
    FAULT_NONE,
    FAULT_EMPTY,
    FAULT_TRUNC,
    FAULT_GARBAGE,
    FAULT_STALL,
    FAULT_NODHT,
    FAULT_PAD,
    FAULT_ERR,
    FAULTS
};

struct rule { /* every:N:KIND */
    unsigned every;
    enum fault fault;
};

struct urb { /* room the host gives for one payload */
    uint32_t seqnum, n_bytes;
};

struct camera {
    int socket;                /* to vhci-hcd; -1 while unplugged */
    struct urb urbs[URBS_MAX]; /* the oldest first */
    unsigned n_urbs;
    bool streaming;
    enum format format;
    const struct size *size;
    uint32_t interval_100ns;
    int32_t values[N_CONTROLS];
    uint8_t frame_id; /* UVC_STREAM_FID or 0: changes from frame to frame */
    unsigned next_frame, n_sent, n_dropped;
    struct rule *rules;
    unsigned n_rules;
    const char *serial;
    struct {
        volatile sig_atomic_t unplug, plug_in, end;
    } told; /* by signals */
};

static struct camera camera; /* static for the signals only */

/* ---- USB/IP ---- */

enum usbip_command {
    USBIP_CMD_SUBMIT = 1,
    USBIP_CMD_UNLINK,
    USBIP_RET_SUBMIT,
    USBIP_RET_UNLINK,
};
enum usbip_direction { USBIP_DIR_OUT, USBIP_DIR_IN };

struct usbip_header { /* all in network order but the setup bytes, which are USB's */
    uint32_t command, seqnum, devid, direction, ep;
    union {
        uint32_t transfer_flags; /* CMD_SUBMIT */
        uint32_t unlink_seqnum;  /* CMD_UNLINK */
        uint32_t status;         /* RET_SUBMIT, RET_UNLINK */
    };
    uint32_t n_bytes; /* of room or data */
    uint32_t start_frame, number_of_packets, interval;
    struct usb_ctrlrequest setup;
};
_Static_assert(sizeof(struct usbip_header) == 48, "as on the wire");

static void hang_up(struct camera *c)
{
    close(c->socket);
    c->socket = -1;
}

static int read_all(int fd, void *to, size_t n_bytes)
{
    for (char *at = to; n_bytes;) {
        ssize_t n = read(fd, at, n_bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        at += n;
        n_bytes -= (size_t)n;
    }
    return 0;
}

static int write_all(int fd, const void *from, size_t n_bytes)
{
    for (const char *at = from; n_bytes;) {
        ssize_t n = write(fd, at, n_bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        at += n;
        n_bytes -= (size_t)n;
    }
    return 0;
}

static void reply(struct camera *c, const struct usbip_header *h, const void *data, size_t n_bytes)
{
    if (write_all(c->socket, h, sizeof *h) == 0 && write_all(c->socket, data, n_bytes) == 0)
        return;
    fprintf(stderr, "fakeuvc: socket gone\n");
    hang_up(c);
}

/* Data for the host, or NULL when n_bytes of its own were taken. */
static void reply_done(struct camera *c, uint32_t seqnum, const void *data, uint32_t n_bytes)
{
    struct usbip_header h = {
        .command = htonl(USBIP_RET_SUBMIT), .seqnum = htonl(seqnum), .n_bytes = htonl(n_bytes)};
    reply(c, &h, data, data ? n_bytes : 0);
}

/* status: 0 or -errno */
static void reply_status(struct camera *c, enum usbip_command command, uint32_t seqnum, int status)
{
    struct usbip_header h = {
        .command = htonl(command), .seqnum = htonl(seqnum), .status = htonl((uint32_t)status)};
    reply(c, &h, NULL, 0);
}

/* ---- requests: each gives the length of its answer, or -1 for none ---- */

static int put(uint8_t *out, const void *bytes, size_t n_bytes)
{
    memcpy(out, bytes, n_bytes);
    return (int)n_bytes;
}

static int get_string(const struct camera *c, unsigned index, uint8_t *out)
{
    static const uint8_t languages[] = {4, USB_DT_STRING, LE16(0x0409)};
    const char *const strings[] = {
        [MAKER] = "testbed", [PRODUCT] = "Fake UVC Camera", [SERIAL] = c->serial};
    if (index == LANGUAGES)
        return put(out, languages, sizeof languages);
    if (index > SERIAL)
        return -1;
    size_t n = strlen(strings[index]);
    out[0] = (uint8_t)(2 + 2 * n);
    out[1] = USB_DT_STRING;
    for (size_t i = 0; i < n; i++) /* UTF-16; the upper bytes are 0 already */
        out[2 + 2 * i] = (uint8_t)strings[index][i];
    return out[0];
}

static int get_descriptor(const struct camera *c, uint16_t type_index, uint8_t *out)
{
    switch (type_index >> 8) {
    case USB_DT_DEVICE:
        return put(out, device_descriptor, sizeof device_descriptor);
    case USB_DT_CONFIG:
        return put(out, config_descriptor, sizeof config_descriptor);
    case USB_DT_STRING:
        return get_string(c, type_index & 255, out);
    default:
        return -1;
    }
}

/* USB 2.0, 9.4. What there is to set has one value only. */
static int standard_request(struct camera *c, const struct usb_ctrlrequest *r, uint8_t *out)
{
    if (r->bRequestType == USB_RECIP_ENDPOINT && r->bRequest == USB_REQ_CLEAR_FEATURE)
        c->streaming = false; /* uvcvideo ends a bulk stream so */
    if (!(r->bRequestType & USB_DIR_IN))
        return 0;
    if (r->bRequest == USB_REQ_GET_STATUS)
        return 2;
    if (r->bRequestType == USB_DIR_IN && r->bRequest == USB_REQ_GET_DESCRIPTOR)
        return get_descriptor(c, le16toh(r->wValue), out);
    return -1;
}

/* UVC 4.3.1.1. It is the same for probe and commit, for now, least, most and default. */
static struct uvc_streaming_control stream_settings(const struct camera *c)
{
    return (struct uvc_streaming_control){
        .bmHint = htole16(1), /* the interval was chosen, the rest follows */
        .bFormatIndex = (uint8_t)c->format,
        .bFrameIndex = (uint8_t)(c->size - sizes + 1),
        .dwFrameInterval = htole32(c->interval_100ns),
        .wDelay = htole16(32),
        .dwMaxVideoFrameSize = htole32(c->size->width * c->size->height * 2),
        .dwMaxPayloadTransferSize = htole32(PAYLOAD_BYTES),
    };
}

static int get_stream(const struct camera *c, uint8_t request, uint8_t *out)
{
    struct uvc_streaming_control now = stream_settings(c);
    switch (request) {
    case UVC_GET_INFO:
        out[0] = UVC_CONTROL_CAP_GET | UVC_CONTROL_CAP_SET;
        return 1;
    case UVC_GET_LEN:
        out[0] = PROBE_BYTES;
        return 2;
    default:
        return put(out, &now, PROBE_BYTES);
    }
}

static int set_stream(struct camera *c, uint8_t selector, const uint8_t *data, size_t n_bytes)
{
    struct uvc_streaming_control wish = {0};
    memcpy(&wish, data, n_bytes < sizeof wish ? n_bytes : sizeof wish);
    uint32_t interval = le32toh(wish.dwFrameInterval);
    bool has_size = wish.bFrameIndex >= 1 && wish.bFrameIndex <= N_SIZES;
    c->format = wish.bFormatIndex == YUYV ? YUYV : MJPG;
    c->size = &sizes[has_size ? wish.bFrameIndex - 1 : 0];
    c->interval_100ns = interval > INTERVAL_30 ? interval : INTERVAL_30;
    if (selector == UVC_VS_COMMIT_CONTROL) {
        c->streaming = true;
        fprintf(stderr, "fakeuvc: commit %s %ux%u %.1f fps\n", c->format == MJPG ? "MJPG" : "YUYV",
                c->size->width, c->size->height, 1e7 / c->interval_100ns);
    }
    return 0;
}

/* Gives N_CONTROLS when there is none. */
static size_t find_control(uint8_t entity, uint8_t selector)
{
    size_t i = 0;
    while (i < N_CONTROLS && (controls[i].entity != entity || controls[i].selector != selector))
        i++;
    return i;
}

static int32_t control_value(const struct camera *c, size_t i, uint8_t request)
{
    switch (request) {
    case UVC_GET_CUR:
        return c->values[i];
    case UVC_GET_MIN:
        return controls[i].min;
    case UVC_GET_MAX:
        return controls[i].max;
    case UVC_GET_RES:
        return controls[i].step;
    default:
        return controls[i].def;
    }
}

/* A control is as long as the host asks for: it knows what it wants. */
static int get_control(const struct camera *c, size_t i, const struct usb_ctrlrequest *r,
                       uint8_t *out)
{
    uint16_t n_bytes = le16toh(r->wLength);
    uint32_t value = htole32((uint32_t)control_value(c, i, r->bRequest));
    switch (r->bRequest) {
    case UVC_GET_INFO:
        out[0] = UVC_CONTROL_CAP_GET | UVC_CONTROL_CAP_SET;
        return 1;
    case UVC_GET_LEN:
        out[0] = (uint8_t)n_bytes;
        return 2;
    default:
        return put(out, &value, n_bytes < sizeof value ? n_bytes : sizeof value);
    }
}

static int set_control(struct camera *c, size_t i, const uint8_t *data, size_t n_bytes)
{
    uint32_t value = 0;
    if (i == N_CONTROLS)
        return 0;
    for (size_t k = 0; k < n_bytes && k < sizeof value; k++)
        value |= (uint32_t)data[k] << 8 * k;
    c->values[i] = n_bytes == 2 ? (int16_t)value : (int32_t)value;
    fprintf(stderr, "fakeuvc: control %u/%u = %d\n", controls[i].entity, controls[i].selector,
            c->values[i]);
    return 0;
}

static int class_request(struct camera *c, const struct usb_ctrlrequest *r, const uint8_t *data,
                         size_t n_bytes, uint8_t *out)
{
    uint8_t selector = (uint8_t)(le16toh(r->wValue) >> 8);
    uint8_t entity = (uint8_t)(le16toh(r->wIndex) >> 8);
    bool of_stream = (le16toh(r->wIndex) & 255) == STREAM_IF;
    size_t i = find_control(entity, selector);
    switch (r->bRequestType) {
    case USB_DIR_OUT | USB_TYPE_CLASS | USB_RECIP_INTERFACE:
        if (r->bRequest != UVC_SET_CUR)
            return -1;
        return of_stream ? set_stream(c, selector, data, n_bytes)
                         : set_control(c, i, data, n_bytes);
    case USB_DIR_IN | USB_TYPE_CLASS | USB_RECIP_INTERFACE:
        if (of_stream)
            return get_stream(c, r->bRequest, out);
        if (i < N_CONTROLS)
            return get_control(c, i, r, out);
        if (entity == 0 && selector == UVC_VC_REQUEST_ERROR_CODE_CONTROL)
            return put(out, &(uint8_t){INVALID_CONTROL}, 1);
        return -1;
    default:
        return -1;
    }
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void on_request(struct camera *c, const struct usbip_header *h, const uint8_t *data)
{
    const struct usb_ctrlrequest *r = &h->setup;
    uint32_t seqnum = ntohl(h->seqnum), n_bytes = ntohl(h->n_bytes);
    uint8_t out[CONFIG_BYTES] = {0}; /* nothing we tell is longer */
    int n = -1;
    if ((r->bRequestType & USB_TYPE_MASK) == USB_TYPE_STANDARD)
        n = standard_request(c, r, out);
    else if ((r->bRequestType & USB_TYPE_MASK) == USB_TYPE_CLASS)
        n = class_request(c, r, data, n_bytes, out);
    if (n < 0)
        reply_status(c, USBIP_RET_SUBMIT, seqnum, -EPIPE);
    else if (r->bRequestType & USB_DIR_IN)
        reply_done(c, seqnum, out, least(least((uint32_t)n, le16toh(r->wLength)), n_bytes));
    else
        reply_done(c, seqnum, NULL, n_bytes);
}

/* ---- what comes from the kernel ---- */

static void remove_urb(struct camera *c, unsigned i)
{
    c->n_urbs--;
    memmove(c->urbs + i, c->urbs + i + 1, (c->n_urbs - i) * sizeof *c->urbs);
}

static void on_submit(struct camera *c, const struct usbip_header *h)
{
    uint8_t data[RECEIVED_MAX] = {0};
    struct urb u = {.seqnum = ntohl(h->seqnum), .n_bytes = ntohl(h->n_bytes)};
    bool is_in = ntohl(h->direction) == USBIP_DIR_IN;
    if (!is_in && (u.n_bytes > sizeof data || read_all(c->socket, data, u.n_bytes) < 0))
        hang_up(c);
    else if (h->ep == 0)
        on_request(c, h, data);
    else if (is_in && c->n_urbs < URBS_MAX && u.n_bytes > PAYLOAD_HEADER_BYTES)
        c->urbs[c->n_urbs++] = u;
    else
        reply_status(c, USBIP_RET_SUBMIT, u.seqnum, -EPIPE);
}

static void on_unlink(struct camera *c, const struct usbip_header *h)
{
    unsigned i = 0;
    while (i < c->n_urbs && c->urbs[i].seqnum != ntohl(h->unlink_seqnum))
        i++;
    bool found = i < c->n_urbs; /* else it was answered and that is on its way */
    if (found)
        remove_urb(c, i);
    reply_status(c, USBIP_RET_UNLINK, ntohl(h->seqnum), found ? -ECONNRESET : 0);
    if (c->n_urbs == 0)
        c->streaming = false;
}

static void on_message(struct camera *c)
{
    struct usbip_header h;
    if (read_all(c->socket, &h, sizeof h) < 0)
        hang_up(c);
    else if (ntohl(h.command) == USBIP_CMD_SUBMIT)
        on_submit(c, &h);
    else if (ntohl(h.command) == USBIP_CMD_UNLINK)
        on_unlink(c, &h);
}

/* ---- frames ---- */

struct frame {
    unsigned number;
    uint8_t *bytes;
    unsigned long n_bytes; /* libjpeg's type */
};

static void *memory(void *old, size_t n_bytes)
{
    void *p = realloc(old, n_bytes);
    if (!p)
        abort();
    return p;
}

static bool is_white(const struct frame *f, unsigned x, unsigned width)
{
    return f->number >> (15 - x * 16 / width) & 1;
}

static void draw_yuyv(struct frame *f, const struct size *s)
{
    f->n_bytes = s->width * s->height * 2;
    f->bytes = memory(NULL, f->n_bytes);
    uint8_t *at = f->bytes;
    for (unsigned y = 0; y < s->height; y++) {
        for (unsigned x = 0; x < s->width; x++) {
            *at = (uint8_t)(x + f->number * 4);
            if (y < BLOCK_ROWS)
                *at = is_white(f, x, s->width) ? 235 : 16;
            at[1] = 128;
            at += 2;
        }
    }
}

static void draw_row(const struct frame *f, uint8_t *row, unsigned width, unsigned y)
{
    for (unsigned x = 0; x < width; x++) {
        row[x] = (uint8_t)(x / 2 + f->number * 4);
        if (y < BLOCK_ROWS)
            row[x] = is_white(f, x, width) ? 255 : 0;
    }
}

static void draw_mjpg(struct frame *f, const struct size *s)
{
    struct jpeg_error_mgr on_error;
    struct jpeg_compress_struct jpeg = {.err = jpeg_std_error(&on_error)};
    uint8_t *row = memory(NULL, s->width);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &f->bytes, &f->n_bytes);
    jpeg.image_width = s->width;
    jpeg.image_height = s->height;
    jpeg.input_components = 1;
    jpeg.in_color_space = JCS_GRAYSCALE;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 75, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < s->height) {
        draw_row(f, row, s->width, jpeg.next_scanline);
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    free(row);
}

/* JPEG's segments: 0xff, which one, a length that counts itself. The picture comes after SOS. */
static void remove_huffman_tables(struct frame *f)
{
    uint8_t *b = f->bytes;
    unsigned long i = 2;
    while (i + 4 < f->n_bytes && b[i] == 0xff && b[i + 1] != JPEG_SOS) {
        unsigned long n = 2 + ((unsigned long)b[i + 2] << 8 | b[i + 3]);
        if (b[i + 1] == JPEG_DHT) {
            memmove(b + i, b + i + n, f->n_bytes - i - n);
            f->n_bytes -= n;
        } else {
            i += n;
        }
    }
}

static enum fault fault_of(const struct camera *c, unsigned number)
{
    enum fault fault = FAULT_NONE;
    for (const struct rule *r = c->rules; r < c->rules + c->n_rules; r++)
        if (number % r->every == r->every - 1)
            fault = r->fault;
    return fault;
}

static void spoil(struct frame *f, enum fault fault, enum format format)
{
    switch (fault) {
    case FAULT_EMPTY:
        f->n_bytes = 0;
        break;
    case FAULT_TRUNC:
        f->n_bytes /= 2;
        break;
    case FAULT_GARBAGE:
        memset(f->bytes, 0xaa, f->n_bytes);
        break;
    case FAULT_NODHT:
        if (format == MJPG)
            remove_huffman_tables(f);
        break;
    case FAULT_PAD:
        f->bytes = memory(f->bytes, f->n_bytes + PAD_BYTES);
        memset(f->bytes + f->n_bytes, 0, PAD_BYTES);
        f->n_bytes += PAD_BYTES;
        break;
    default:
        break;
    }
}

/* As a device that NAKs until the host has room. False: there is no more to send to. */
static bool wait_for_urb(struct camera *c)
{
    while (c->n_urbs == 0 && c->socket >= 0) {
        struct pollfd p = {.fd = c->socket, .events = POLLIN};
        if (poll(&p, 1, ROOM_MS) <= 0) {
            c->n_dropped++;
            return false;
        }
        on_message(c);
    }
    return c->socket >= 0 && c->streaming;
}

/* Gives how much of the frame went into it. */
static unsigned long send_payload(struct camera *c, const struct frame *f, unsigned long from,
                                  uint8_t flags)
{
    uint8_t payload[PAYLOAD_BYTES];
    struct urb u = c->urbs[0];
    unsigned long left = f->n_bytes - from;
    uint32_t room = least(u.n_bytes, sizeof payload) - PAYLOAD_HEADER_BYTES;
    uint32_t n = left < room ? (uint32_t)left : room;
    payload[0] = PAYLOAD_HEADER_BYTES;
    payload[1] = (uint8_t)(UVC_STREAM_EOH | flags | (n == left ? UVC_STREAM_EOF : 0));
    memcpy(payload + PAYLOAD_HEADER_BYTES, f->bytes + from, n);
    remove_urb(c, 0);
    reply_done(c, u.seqnum, payload, n + PAYLOAD_HEADER_BYTES);
    return n;
}

static void send_frame(struct camera *c, const struct frame *f, uint8_t flags)
{
    unsigned long n_sent = 0;
    do { /* once at least: an empty frame has an end too */
        if (!wait_for_urb(c))
            return;
        n_sent += send_payload(c, f, n_sent, flags);
    } while (n_sent < f->n_bytes);
    c->n_sent++;
}

static void make_frame(struct camera *c)
{
    struct frame f = {.number = c->next_frame++};
    if (c->n_urbs == 0) {
        c->n_dropped++;
        return;
    }
    enum fault fault = fault_of(c, f.number);
    if (fault == FAULT_STALL) {
        fprintf(stderr, "fakeuvc: stalls %d s\n", STALL_S);
        sleep(STALL_S);
    }
    if (c->format == YUYV)
        draw_yuyv(&f, c->size);
    else
        draw_mjpg(&f, c->size);
    spoil(&f, fault, c->format);
    c->frame_id ^= UVC_STREAM_FID;
    send_frame(c, &f, c->frame_id | (fault == FAULT_ERR ? UVC_STREAM_ERR : 0));
    free(f.bytes);
}

/* ---- in, out and on ---- */

static int write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    int rc = fd < 0 ? -1 : write_all(fd, text, strlen(text));
    if (rc < 0)
        fprintf(stderr, "fakeuvc: %s: %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return rc;
}

/* vhci-hcd takes its end of the pair by number, as it would a connection to another machine. */
static int plug_in(struct camera *c)
{
    int ends[2], n_bytes = SEND_BUFFER_BYTES;
    char text[64];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0) {
        perror("fakeuvc: socketpair");
        return -1;
    }
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &n_bytes, sizeof n_bytes);
    snprintf(text, sizeof text, "%d %d %d %d", VHCI_PORT, ends[1], DEVICE_ID, USB_SPEED_HIGH);
    int rc = write_text(VHCI_ATTACH, text);
    close(ends[1]);
    if (rc < 0) {
        close(ends[0]);
        return -1;
    }
    c->socket = ends[0];
    c->n_urbs = 0;
    c->streaming = false;
    fprintf(stderr, "fakeuvc: plugged in\n");
    return 0;
}

/* To vhci-hcd a closed socket is the cable pulled out; its "detach" file then says EINVAL. */
static void unplug(struct camera *c)
{
    if (c->socket < 0)
        return;
    hang_up(c);
    fprintf(stderr, "fakeuvc: unplugged after %u frames (%u dropped)\n", c->n_sent, c->n_dropped);
}

static void on_signal(int signal_number)
{
    if (signal_number == SIGUSR1)
        camera.told.unplug = 1;
    else if (signal_number == SIGUSR2)
        camera.told.plug_in = 1;
    else
        camera.told.end = 1;
}

static void catch_signals(void)
{
    struct sigaction catch = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &catch, NULL);
    sigaction(SIGUSR2, &catch, NULL);
    sigaction(SIGTERM, &catch, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int do_as_told(struct camera *c)
{
    if (c->told.unplug) {
        c->told.unplug = 0;
        unplug(c);
    }
    if (!c->told.plug_in)
        return 0;
    c->told.plug_in = 0;
    if (c->socket >= 0)
        return 0;
    usleep(REPLUG_US);
    return plug_in(c);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

static void wait_for_message(struct camera *c, uint64_t wait_ns)
{
    struct pollfd p = {.fd = c->socket, .events = POLLIN}; /* -1 is a mere wait */
    struct timespec wait = {.tv_nsec = (long)(wait_ns < SECOND_NS ? wait_ns : SECOND_NS - 1)};
    if (ppoll(&p, 1, &wait, NULL) > 0)
        on_message(c);
}

/* Frame k is due k intervals after the start, whatever happened to the ones before. */
static int run(struct camera *c)
{
    uint64_t due_ns = 0;
    bool was_streaming = false;
    while (!c->told.end) {
        if (do_as_told(c) < 0)
            return EXIT_FAILURE;
        uint64_t at_ns = now_ns();
        if (c->streaming && !was_streaming)
            due_ns = at_ns;
        was_streaming = c->streaming;
        if (was_streaming && due_ns <= at_ns) {
            make_frame(c);
            due_ns += c->interval_100ns * 100ull;
        } else {
            wait_for_message(c, was_streaming ? due_ns - at_ns : IDLE_NS);
        }
    }
    return EXIT_SUCCESS;
}

/* ---- arguments ---- */

static enum fault fault_named(const char *name)
{
    static const char *const names[FAULTS] = {
        [FAULT_EMPTY] = "empty", [FAULT_TRUNC] = "trunc", [FAULT_GARBAGE] = "garbage",
        [FAULT_STALL] = "stall", [FAULT_NODHT] = "nodht", [FAULT_PAD] = "pad",
        [FAULT_ERR] = "err"};
    for (int i = FAULT_EMPTY; i < FAULTS; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum fault)i;
    return FAULT_NONE;
}

static int read_rule(const char *text, struct rule *r)
{
    char *end;
    unsigned long every = strtoul(text, &end, 10);
    if (!isdigit((unsigned char)*text) || every < 1 || every > INT_MAX || *end != ':')
        return -1;
    *r = (struct rule){.every = (unsigned)every, .fault = fault_named(end + 1)};
    return r->fault == FAULT_NONE ? -1 : 0;
}

static int read_argument(struct camera *c, const char *text)
{
    if (strncmp(text, "every:", 6) == 0)
        return read_rule(text + 6, &c->rules[c->n_rules++]);
    if (strncmp(text, "serial:", 7) != 0 || strlen(text + 7) > SERIAL_MAX)
        return -1;
    c->serial = text + 7;
    return 0;
}

static int usage(const char *wrong)
{
    fprintf(stderr,
            "fakeuvc: cannot use '%s'\n"
            "usage: fakeuvc [every:N:KIND | serial:TEXT]...\n"
            "KIND: empty trunc garbage stall nodht pad err; TEXT: up to %d characters\n",
            wrong, SERIAL_MAX);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct camera *c = &camera;
    *c = (struct camera){.socket = -1, .format = MJPG, .size = sizes, .serial = "SN0001"};
    c->interval_100ns = INTERVAL_30;
    c->rules = memory(NULL, (size_t)argc * sizeof *c->rules);
    for (size_t i = 0; i < N_CONTROLS; i++)
        c->values[i] = controls[i].def;
    for (int i = 1; i < argc; i++)
        if (read_argument(c, argv[i]) < 0)
            return usage(argv[i]);
    catch_signals();
    int rc = plug_in(c) < 0 ? EXIT_FAILURE : run(c);
    unplug(c);
    free(c->rules);
    return rc;
}
