#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/opt_demo.h"

static void defaults_go_through_the_same_parser(void **state)
{
    (void)state;
    struct run r;
    run_ok(&r, &demo, "probe");
    assert_int_equal(r.v.command, PROBE);
    assert_int_equal(r.got.max_age_us, 250000);
    assert_int_equal(r.got.sessions, 10);
    assert_int_equal(r.got.frame_bytes, 5242880);
    assert_true(r.got.rate > 0.0999 && r.got.rate < 0.1001);
    assert_string_equal(r.got.listen, "localhost:8000");
    assert_null(r.got.netrc);
    assert_int_equal(r.got.log_format, 0);
    assert_int_equal(r.got.shape, -1);
    assert_int_equal(r.got.pipelines.n, 0);
    assert_false(r.got.quiet);
    opt_values_deinit(&r.v);
}

static void options_stand_anywhere_between_the_arguments(void **state)
{
    (void)state;
    static const char *const orders[] = {
        "-q --max-age 1s stream cam url",
        "stream -q cam --max-age=1s url",
        "stream cam url -qa 1s",
        "stream --max-age 1s -q -- cam url",
        "--max-age 1s -q -- stream cam url",
    };
    for (int posix = 0; posix < 2; posix++) {
        if (posix)
            setenv("POSIXLY_CORRECT", "1", 1);
        for (size_t i = 0; i < N(orders); i++) {
            struct run r;
            run_ok(&r, &demo, orders[i]);
            assert_int_equal(r.v.command, STREAM);
            assert_int_equal(r.v.n_args, 2);
            assert_string_equal(r.v.args[0], "cam");
            assert_string_equal(r.v.args[1], "url");
            assert_int_equal(r.got.max_age_us, 1000000);
            assert_true(r.got.quiet);
            opt_values_deinit(&r.v);
        }
    }
}

static void standard_input_is_an_argument(void **state)
{
    (void)state;
    struct run r;
    run_ok(&r, &demo, "stream -");
    assert_int_equal(r.v.n_args, 1);
    assert_string_equal(r.v.args[0], "-");
    opt_values_deinit(&r.v);
}

static void wrong_usage_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *words, *says;
    } cases[] = {
        {"", "no command given; use stream, probe or pipelines"},
        {"steam cam", "unknown command 'steam'; did you mean 'stream'?"},
        {"xyzzy", "unknown command 'xyzzy'"},
        {"probe --lisen x", "unknown option '--lisen'; did you mean '--listen'?"},
        {"probe --maxage=1s", "did you mean '--max-age'?"},
        {"probe --colour", "unknown option '--colour'"},
        {"probe -z", "unknown option '-z'"},
        {"probe --max", "'--max' may be '--max-age' or '--max-sessions'"},
        {"probe --listen", "'--listen' needs a value: ADDR"},
        {"probe -l", "'-l' needs a value: ADDR"},
        {"probe --quiet=1", "'--quiet' takes no value"},
        {"probe a b", "unexpected argument 'b'; usage: demo probe [OPTION]... [URL]"},
        {"stream", "stream needs one more argument"},
        {"pipelines x", "unexpected argument 'x'"},
        {"probe --netrc f", "'--netrc' belongs to stream, not to probe"},
        {"--netrc f probe", "'--netrc' belongs to stream, not to probe"},
        {"pipelines -n 3", "'-n' belongs to stream, probe, not to pipelines"},
        {"pipelines -q", "'-q' belongs to stream, probe, not to pipelines"},
        {"probe --max-age 37", "--max-age: '37' has no unit; add a unit, for example 37ms"},
        {"probe --max-age 2m", "--max-age: '2m' is out of range; accepted is from 1ms to 1m"},
        {"probe --max-sessions -1", "--max-sessions: '-1' is not a whole number"},
        {"probe --max-sessions 0", "from 1 to 1000"},
        {"probe --frame-bytes 1", "from 4KiB to 1GiB"},
        {"probe --rate 1.01", "from 0 to 1"},
        {"probe --rate nan", "'nan' is not a number"},
        {"probe --log-format xml", "'xml' is not one of the choices; use text or json"},
        {"probe --completion zsh", "--completion: 'zsh'"},
        {"probe --config /nowhere/x", "settings file /nowhere/x: No such file"},
        {"probe --config /", "settings file /: Is a directory"},
    };
    for (size_t i = 0; i < N(cases); i++)
        assert_refused(&demo, cases[i].words, cases[i].says);
    assert_refused(&plain, "cam", "unexpected argument 'cam'");
}

static void a_far_name_gets_no_suggestion(void **state)
{
    (void)state;
    struct run r;
    run_words(&r, &demo, "probe --colour");
    assert_null(strstr(r.e.text, "did you mean"));
    opt_values_deinit(&r.v);
    run_words(&r, &demo, "xyzzy");
    assert_null(strstr(r.e.text, "did you mean"));
    opt_values_deinit(&r.v);
}

static void a_higher_source_outranks_a_lower_one(void **state)
{
    (void)state;
    struct run r;
    write_file("rank", "max-sessions = 2\n");
    char words[256], more[300];
    snprintf(words, sizeof words, "probe --config %s", path_of("rank"));
    snprintf(more, sizeof more, "%s --max-sessions 5", words);

    run_ok(&r, &demo, words);
    assert_int_equal(r.got.sessions, 2);
    opt_values_deinit(&r.v);

    setenv("PUBLISHED_SESSIONS", "3", 1);
    run_ok(&r, &demo, words);
    assert_int_equal(r.got.sessions, 3);
    opt_values_deinit(&r.v);

    setenv("DEMO_MAX_SESSIONS", "4", 1);
    run_ok(&r, &demo, words);
    assert_int_equal(r.got.sessions, 4);
    opt_values_deinit(&r.v);

    run_ok(&r, &demo, more);
    assert_int_equal(r.got.sessions, 5);
    opt_values_deinit(&r.v);
}

static void an_empty_variable_counts_as_unset(void **state)
{
    (void)state;
    struct run r;
    setenv("DEMO_MAX_SESSIONS", "", 1);
    setenv("PUBLISHED_SESSIONS", "", 1);
    setenv("DEMO_CONFIG", "", 1);
    run_ok(&r, &demo, "probe");
    assert_int_equal(r.got.sessions, 10);
    opt_values_deinit(&r.v);
}

static void a_bad_variable_is_refused_by_its_name(void **state)
{
    (void)state;
    setenv("PUBLISHED_SESSIONS", "many", 1);
    assert_refused(&demo, "probe", "PUBLISHED_SESSIONS: 'many' is not a whole number");
    unsetenv("PUBLISHED_SESSIONS");
    setenv("DEMO_QUIET", "maybe", 1);
    assert_refused(&demo, "probe", "DEMO_QUIET: 'maybe' is neither yes nor no");
}

static void a_flag_in_the_environment_is_yes_or_no(void **state)
{
    (void)state;
    static const char *const words[] = {"0", "1", "false", "true", "no", "yes"};
    for (size_t i = 0; i < N(words); i++) {
        struct run r;
        setenv("DEMO_QUIET", words[i], 1);
        run_ok(&r, &demo, "probe");
        assert_int_equal(r.got.quiet, i % 2);
        opt_values_deinit(&r.v);
    }
}

static void help_is_there_even_if_the_environment_is_wrong(void **state)
{
    (void)state;
    setenv("DEMO_QUIET", "maybe", 1);
    free(output_of(&demo, "--help"));
}

static void a_higher_source_replaces_the_whole_list(void **state)
{
    (void)state;
    struct run r;
    write_file("list", "pipeline = a=null\npipeline = b=x:y=1,z=2\n");
    setenv("DEMO_CONFIG", path_of("list"), 1);
    run_ok(&r, &demo, "probe");
    assert_int_equal(r.got.pipelines.n, 2);
    assert_string_equal(r.got.pipelines.item[1], "b=x:y=1,z=2");
    opt_values_deinit(&r.v);

    setenv("DEMO_PIPELINE", "c=null,d", 1);
    run_ok(&r, &demo, "probe");
    assert_int_equal(r.got.pipelines.n, 1);
    assert_string_equal(r.got.pipelines.item[0], "c=null,d");
    opt_values_deinit(&r.v);

    run_ok(&r, &demo, "probe -p e --pipeline f -pg");
    assert_int_equal(r.got.pipelines.n, 3);
    assert_string_equal(r.got.pipelines.item[0], "e");
    assert_string_equal(r.got.pipelines.item[2], "g");
    opt_values_deinit(&r.v);
}

static void namesakes_of_two_commands_stay_apart(void **state)
{
    (void)state;
    struct run r;
    run_ok(&r, &demo, "-n 3 probe");
    assert_int_equal(r.got.count, 3);
    opt_values_deinit(&r.v);
    run_ok(&r, &demo, "stream cam --count 500");
    assert_int_equal(r.got.count, 500);
    opt_values_deinit(&r.v);
    run_ok(&r, &demo, "stream cam");
    assert_int_equal(r.got.count, 0);
    opt_values_deinit(&r.v);
    run_ok(&r, &demo, "probe");
    assert_int_equal(r.got.count, 20);
    opt_values_deinit(&r.v);
    assert_refused(&demo, "probe -n 500", "--count: '500' is out of range");
    setenv("DEMO_COUNT", "50", 1);
    run_ok(&r, &demo, "probe");
    assert_int_equal(r.got.count, 50);
    opt_values_deinit(&r.v);
}

static void a_settings_file_has_comments_blanks_and_quotes(void **state)
{
    (void)state;
    struct run r;
    write_file("good", "# all of it\n\n  max-age=1s   # a second\r\n"
                       "listen = http://h/#live\nquiet = yes\n"
                       "netrc = \"a # \\\"b\\\\\"  # quoted\nlog-format = json");
    setenv("DEMO_CONFIG", path_of("good"), 1);
    run_ok(&r, &demo, "stream cam");
    assert_int_equal(r.got.max_age_us, 1000000);
    assert_string_equal(r.got.listen, "http://h/#live");
    assert_string_equal(r.got.netrc, "a # \"b\\");
    assert_true(r.got.quiet);
    assert_int_equal(r.got.log_format, 1);
    opt_values_deinit(&r.v);
}

static void a_bad_line_is_refused_by_file_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *content, *says;
    } cases[] = {
        {"\n\nlisen = x\n", "bad:3: unknown name 'lisen'; did you mean 'listen'?"},
        {"max-age 1s\n", "bad:1: missing '=' in 'max-age 1s'"},
        {"# x\nmax-age = 37\n", "bad:2: max-age: '37' has no unit"},
        {"max-age =\n", "bad:1: max-age: ''"},
        {"max-sessions = -1", "bad:1: max-sessions: '-1' is not a whole number"},
        {"listen = \"x\n", "bad:1: the value of listen has no closing quote"},
        {"listen = \"x\\", "unknown escape"},
        {"listen = \"x\" y\n", "behind the closing quote"},
        {"listen = \"\\q\"\n", "unknown escape"},
        {"config = x\n", "'config' belongs on the command line only"},
        {"= x\n", "bad:1: unknown name ''"},
    };
    setenv("DEMO_CONFIG", path_of("bad"), 1);
    for (size_t i = 0; i < N(cases); i++) {
        write_file("bad", cases[i].content);
        assert_refused(&demo, "probe", cases[i].says);
    }
}

static void a_settings_file_is_text_of_limited_size(void **state)
{
    (void)state;
    setenv("DEMO_CONFIG", "/dev/zero", 1);
    assert_refused(&demo, "probe", "larger than 1MiB");
    FILE *f = fopen(path_of("zero"), "w");
    fwrite("quiet\0= 1", 1, 9, f);
    fclose(f);
    setenv("DEMO_CONFIG", path_of("zero"), 1);
    assert_refused(&demo, "probe", "zero byte");
}

static void print_config_tells_where_each_value_came_from(void **state)
{
    (void)state;
    char words[256], from_file[256];
    write_file("origin", "\nlog-format = json\npipeline = a b=\"c\"\n");
    setenv("DEMO_FRAME_BYTES", "1MiB", 1);
    setenv("PUBLISHED_SESSIONS", "7", 1);
    snprintf(words, sizeof words, "stream --config %s --max-age 1s -q --print-config",
             path_of("origin"));
    char *out = output_of(&demo, words);
    assert_has(out, "max-age = 1s    # command line\n");
    assert_has(out, "quiet = true    # command line\n");
    assert_has(out, "frame-bytes = 1MiB    # environment DEMO_FRAME_BYTES\n");
    assert_has(out, "max-sessions = 7    # environment PUBLISHED_SESSIONS\n");
    snprintf(from_file, sizeof from_file, "log-format = json    # file %s:2\n", path_of("origin"));
    assert_has(out, from_file);
    assert_has(out, "pipeline = \"a b=\\\"c\\\"\"    # file ");
    assert_has(out, "listen = localhost:8000    # default\n");
    assert_has(out, "# netrc =    # default\n");
    assert_has(out, "count = 0    # default\n");
    assert_null(strstr(out, "count = 20"));
    free(out);
}

static void print_config_reads_back_as_the_same_values(void **state)
{
    (void)state;
    struct run before, after;
    setenv("DEMO_LISTEN", " odd # \"text\" with\nall \\ of\tit ", 1);
    setenv("DEMO_NETRC", " x", 1);
    const char *given = "stream cam -q -a 1.5s -p a=b -p c --rate 1e-1 --log-format json -n 9";
    char words[256];
    snprintf(words, sizeof words, "%s --print-config", given);
    char *out = output_of(&demo, words);
    run_ok(&before, &demo, given);

    write_file("again", out);
    free(out);
    unsetenv("DEMO_NETRC");
    /* the text that before.got.listen points to must outlive the variable */
    char listen[64];
    snprintf(listen, sizeof listen, "%s", before.got.listen);
    unsetenv("DEMO_LISTEN");
    snprintf(words, sizeof words, "stream cam --config %s", path_of("again"));
    run_ok(&after, &demo, words);

    assert_string_equal(after.got.listen, listen);
    assert_string_equal(after.got.netrc, " x");
    assert_int_equal(after.got.pipelines.n, 2);
    assert_string_equal(after.got.pipelines.item[0], "a=b");
    assert_string_equal(after.got.pipelines.item[1], "c");
    before.got.listen = after.got.listen = NULL;
    before.got.netrc = after.got.netrc = NULL;
    before.got.pipelines = after.got.pipelines = (struct opt_list){0};
    assert_memory_equal(&before.got, &after.got, sizeof before.got);
    opt_values_deinit(&before.v);
    opt_values_deinit(&after.v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(defaults_go_through_the_same_parser),
        T(options_stand_anywhere_between_the_arguments),
        T(standard_input_is_an_argument),
        T(wrong_usage_is_refused_by_name),
        T(a_far_name_gets_no_suggestion),
        T(a_higher_source_outranks_a_lower_one),
        T(an_empty_variable_counts_as_unset),
        T(a_bad_variable_is_refused_by_its_name),
        T(a_flag_in_the_environment_is_yes_or_no),
        T(help_is_there_even_if_the_environment_is_wrong),
        T(a_higher_source_replaces_the_whole_list),
        T(namesakes_of_two_commands_stay_apart),
        T(a_settings_file_has_comments_blanks_and_quotes),
        T(a_bad_line_is_refused_by_file_and_line),
        T(a_settings_file_is_text_of_limited_size),
        T(print_config_tells_where_each_value_came_from),
        T(print_config_reads_back_as_the_same_values),
    };
    return cmocka_run_group_tests_name("opt", tests, make_folder, remove_folder);
}
