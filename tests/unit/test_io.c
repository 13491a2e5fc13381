#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "common/log.h"
#include "server/streamd.h"

#define N_LOOKS 200

/* A server of two I/O threads: the test is the first one, the loop of the second never sleeps. */
struct bench {
    struct settings settings;
    struct opt_values values;
    struct streamd d;
    struct ev_idle busy;
    _Atomic unsigned n_turns; /* of the busy loop */
    unsigned n_looks;         /* at its thread */
};

static void on_idle(struct ev_loop *ev, struct ev_idle *w, int events)
{
    struct bench *b = w->data;
    volatile unsigned work = 0;
    (void)ev;
    (void)events;
    for (unsigned i = 0; i < 20000; i++)
        work = work + 1;
    atomic_fetch_add(&b->n_turns, 1);
}

static void await_turns(struct bench *b, unsigned n)
{
    unsigned before = atomic_load(&b->n_turns);
    while (atomic_load(&b->n_turns) - before < n)
        ;
}

static void start(struct bench *b)
{
    char *args[] = {"streamd", "--listen=127.0.0.1:0", "--io-threads=2", NULL};
    struct err e;
    log_setup(LOG_TEXT, LOG_ERROR);
    assert_int_equal(settings_parse(3, args, &b->settings, &b->values, &e), 0);
    assert_int_equal(streamd_start(&b->d, &b->settings, &e), 0);
    ev_idle_init(&b->busy, on_idle);
    b->busy.data = b;
    ev_idle_start(b->d.io[1].ev, &b->busy);
    assert_int_equal(io_start(&b->d.io[1], &e), 0);
    await_turns(b, 1);
}

static void end(struct bench *b)
{
    streamd_stop_all(&b->d);
    io_join(&b->d.io[1]);
    streamd_stop(&b->d);
    opt_values_deinit(&b->values);
}

static void look(const struct io *io, void *ctx)
{
    struct bench *b = ctx;
    b->n_looks += io == &b->d.io[1];
}

/* How many turns the busy thread goes on before it stands still. */
static unsigned turns_until_seen(struct bench *b)
{
    await_turns(b, 2);
    unsigned before = atomic_load(&b->n_turns);
    io_look(&b->d.io[0], look, b);
    return atomic_load(&b->n_turns) - before;
}

/* Not always within one turn: the test's own thread may lose its processor on the way. */
static void a_thread_that_never_sleeps_is_seen_within_a_few_turns(void **state)
{
    (void)state;
    struct bench b = {.n_looks = 0};
    unsigned n_soon = 0;
    start(&b);
    pthread_mutex_lock(&b.d.io[0].lock);
    for (unsigned i = 0; i < N_LOOKS; i++)
        n_soon += turns_until_seen(&b) <= 3;
    pthread_mutex_unlock(&b.d.io[0].lock);
    end(&b);
    assert_int_equal(b.n_looks, N_LOOKS);
    assert_true(n_soon > N_LOOKS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_that_never_sleeps_is_seen_within_a_few_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
