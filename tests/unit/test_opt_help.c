#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/opt_demo.h"

static void help_fits_80_columns_and_shows_every_option(void **state)
{
    (void)state;
    char *out = output_of(&demo, "--help");
    assert_has(out, "Usage: demo stream [OPTION]... SOURCE [URL]\n"
                    "       demo probe [OPTION]... [URL]\n"
                    "       demo pipelines [OPTION]...\n");
    assert_has(out, "\n  probe                    measure the way there and back\n");
    assert_has(out, "  -l, --listen ADDR        listen on ADDR.");
    assert_has(out, "[localhost:8000]");
    assert_has(out, "\n      --log-format text|json\n                           write logs");
    assert_has(out, "(only for stream, probe)");
    assert_has(out, "DEMO_MAX_AGE");
    assert_has(out, "  demo stream test:\n");
    for (size_t i = 0; i < N(demo_opts); i++)
        assert_has(out, demo_opts[i].name);
    static const char *const common[] = {"-h, --help",     "--version",         "--config FILE",
                                         "--print-config", "--completion bash", "--help-mdoc"};
    for (size_t i = 0; i < N(common); i++)
        assert_has(out, common[i]);
    for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n"))
        if (strlen(line) > 80)
            fail_msg("longer than 80 columns: %s", line);
    free(out);
}

static void help_of_a_command_shows_only_what_applies(void **state)
{
    (void)state;
    static const char *const ways[] = {"probe --help", "--help probe", "probe -h", "-h probe"};
    for (size_t i = 0; i < N(ways); i++) {
        char *out = output_of(&demo, ways[i]);
        assert_has(out, "--quiet");
        assert_has(out, "ask N times [20]");
        assert_null(strstr(out, "--netrc"));
        assert_null(strstr(out, "end after N frames"));
        assert_null(strstr(out, "only for"));
        assert_null(strstr(out, "demo stream ["));
        free(out);
    }
}

static void version_names_the_program(void **state)
{
    (void)state;
    char *out = output_of(&demo, "--version");
    assert_string_equal(out, "demo 0.1.0\n");
    free(out);
}

static void help_that_cannot_be_written_is_a_failure(void **state)
{
    (void)state;
    struct run r;
    fflush(stdout);
    int saved = dup(STDOUT_FILENO);
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    dup2(fileno(full), STDOUT_FILENO);
    run_words(&r, &demo, "--help");
    dup2(saved, STDOUT_FILENO);
    fflush(stdout);
    clearerr(stdout);
    fclose(full);
    close(saved);
    assert_int_equal(r.rc, -EXIT_FAILED);
    assert_has(r.e.text, "standard output");
    opt_values_deinit(&r.v);
}

static void shell_ok(const char *command)
{
    fflush(NULL);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

static void mdoc_is_clean_and_escaped(void **state)
{
    (void)state;
    char *out = output_of(&demo, "--help-mdoc");
    assert_has(out, ".Bl -tag -width Ds\n.It Fl l , Fl -listen Ar ADDR\nListen on ADDR.\nMay be");
    assert_has(out, ".Ev DEMO_MAX_SESSIONS ,\nor\n.Ev PUBLISHED_SESSIONS .\n");
    assert_has(out, ".Ql 250ms .\n");
    assert_has(out, "\\&.dotted \\&'quoted' back\\eslash, see \\-\\-log\\-format.\n");
    assert_has(out, "Only for stream, probe.\n");
    assert_has(out, ".It Fl h , Fl -help\n");
    if (system("command -v mandoc >/dev/null") != 0) {
        free(out);
        skip();
    }
    FILE *f = fopen(path_of("demo.1"), "w");
    fprintf(f,
            ".Dd January 1, 2025\n.Dt DEMO 1\n.Os\n.Sh NAME\n.Nm demo\n.Nd does as told\n"
            ".Sh OPTIONS\n%s",
            out);
    fclose(f);
    free(out);
    char command[512];
    snprintf(command, sizeof command, "mandoc -Tlint -Wstyle %s >&2", path_of("demo.1"));
    shell_ok(command);
    snprintf(command, sizeof command,
             "mandoc -Tascii %s | sed 's,.\\x08,,g' | grep -qF \"'quoted' back\\slash, see "
             "--log-format.\"",
             path_of("demo.1"));
    shell_ok(command);
}

/* words: up to and with the one under the cursor, as readline splits them. */
static void assert_completes(const char *words, const char *expected)
{
    char command[1024];
    snprintf(command, sizeof command,
             "bash -uc '. \"%s\"; COMP_WORDS=(demo %s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); "
             "_demo; [[ \"${COMPREPLY[*]}\" == \"%s\" ]] || "
             "{ echo \"got: ${COMPREPLY[*]}\" >&2; exit 1; }'",
             path_of("demo.bash"), words, expected);
    shell_ok(command);
}

static void bash_completes_commands_options_and_choices(void **state)
{
    (void)state;
    char *out = output_of(&demo, "--completion bash");
    write_file("demo.bash", out);
    free(out);
    char command[256];
    snprintf(command, sizeof command, "bash -n %s", path_of("demo.bash"));
    shell_ok(command);
    assert_completes("\"\"", "stream probe pipelines");
    assert_completes("pr", "probe");
    assert_completes("--max-age 1s p", "probe pipelines");
    assert_completes("--listen stream p", "probe pipelines");
    assert_completes("--listen = stream p", "probe pipelines");
    assert_completes("probe --max", "--max-age --max-sessions");
    assert_completes("stream --ne", "--netrc");
    assert_completes("probe --ne", "");
    assert_completes("--ne", "--netrc");
    assert_completes("probe --log-format \"\"", "text json");
    assert_completes("probe --log-format =", "text json");
    assert_completes("probe --log-format = j", "json");
    assert_completes("--completion \"\"", "bash");
    assert_completes("stream --netrc p", "");
    assert_completes("stream p", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(help_fits_80_columns_and_shows_every_option),
        T(help_of_a_command_shows_only_what_applies),
        T(version_names_the_program),
        T(help_that_cannot_be_written_is_a_failure),
        T(mdoc_is_clean_and_escaped),
        T(bash_completes_commands_options_and_choices),
    };
    return cmocka_run_group_tests_name("opt help", tests, make_folder, remove_folder);
}
