#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/door.h"

/* A door, a connection in front of it, and what went in. */
struct bench {
    struct loop loop;
    struct door door;
    int client; /* its end of the connection */
    unsigned n_entered;
};

static void enter(void *ctx, int fd, const char *bytes, size_t n)
{
    struct bench *b = ctx;
    (void)bytes;
    (void)n;
    b->n_entered++;
    close(fd);
}

static void start(struct bench *b)
{
    *b = (struct bench){.door = {.loop = &b->loop, .enter = enter, .ctx = b}};
    assert_int_equal(loop_init(&b->loop, NULL), 0);
}

static void welcome(struct bench *b)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    b->client = ends[0];
    b->door.n_guests++;
    door_welcome(&b->door, ends[1]);
}

static void say(struct bench *b, const char *text)
{
    assert_int_equal(send(b->client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    loop_turn(&b->loop);
}

static void end(struct bench *b)
{
    door_close(&b->door);
    assert_int_equal(b->door.n_guests, 0);
    close(b->client);
    loop_deinit(&b->loop);
}

static void a_guest_enters_with_a_complete_head(void **state)
{
    (void)state;
    struct bench b;
    start(&b);
    welcome(&b);
    say(&b, "GET /healthz HTTP/1.1\r\n");
    assert_int_equal(b.n_entered, 0);
    say(&b, "Host: x\r\n\r\n");
    assert_int_equal(b.n_entered, 1);
    end(&b);
}

/* Connections come from another thread: nothing has made this loop look at the clock before. */
static void a_loop_that_slept_gives_its_guest_the_same_time(void **state)
{
    (void)state;
    struct bench b;
    start(&b);
    b.loop.now_us -= b.loop.now_us < 3600000000u ? b.loop.now_us : 3600000000u;
    welcome(&b);
    loop_turn(&b.loop);
    assert_int_equal(b.door.n_guests, 1);
    say(&b, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(b.n_entered, 1);
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_enters_with_a_complete_head),
        cmocka_unit_test(a_loop_that_slept_gives_its_guest_the_same_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
