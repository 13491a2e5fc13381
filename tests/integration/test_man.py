"""The man pages, --help and the programs' tables say the same, because they are the same."""

import pathlib
import re
import shlex
import subprocess

import pytest

import ctl_helpers
import harness
import load_helpers

PROGRAMS = {"streamd": harness.binary, "streamctl": ctl_helpers.binary,
            "streamload": load_helpers.binary}
SECTIONS = {"streamd": 8, "streamctl": 1, "streamload": 1}


def page_path(program):
    binary = pathlib.Path(PROGRAMS[program]())
    return binary.parent / "man" / f"{program}.{SECTIONS[program]}"


def rendered(program):
    """The page as people see it, on one line, without overstrikes."""
    text = subprocess.run(["mandoc", "-Tascii", "-Owidth=200", page_path(program)],
                          capture_output=True, text=True, check=True).stdout
    return plain(re.sub(".\b", "", text))


def plain(text):
    """Words alone: the page begins sentences with capitals and has its own quotes."""
    return " ".join(re.sub("[`'\"]", "", text).lower().split())


def options(program):
    """(flag, help text, default) of each option in --help."""
    text = subprocess.run([PROGRAMS[program](), "--help"], capture_output=True, text=True,
                          check=True).stdout
    body = text[text.index("\nOptions:"):text.index("\nEvery setting")]
    entries = re.split(r"\n(?=  (?:-\w, |    )--)", body)[1:]
    for entry in entries:
        flag = re.search(r"--[\w-]+", entry).group()
        words = " ".join(entry.split())
        default = re.search(r" \[([^]]+)\]$", words)
        yield flag, words, default.group(1) if default else None


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_page_has_every_option_with_its_words_and_default(program):
    page = rendered(program)
    found = list(options(program))
    assert len(found) > 15
    for flag, words, default in found:
        assert f" {flag}" in page, flag
        # The sentence, without flag and argument before it and what stands in brackets behind.
        sentence = re.sub(r"^.*?--[\w-]+(?: [\w|]*[A-Z|][\w|]*| bash)? ", "", words)
        sentence = re.sub(r"( \(only for [^)]*\))?( \[[^]]+\])?$", "", sentence)
        assert plain(sentence) in page, (flag, sentence)
        if default:
            assert re.search(rf"{flag} .*{re.escape(plain(default))}", page), (flag, default)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_page_names_no_option_that_is_not_there(program):
    known = {flag for flag, _, _ in options(program)}
    source = page_path(program).read_text()
    assert set(re.findall(r"Fl -([a-z][\w-]+)", source)) <= {flag[2:] for flag in known}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_page_names_every_variable(program):
    page = rendered(program)
    for flag, _, _ in options(program):
        if flag in ("--help", "--version", "--print-config", "--completion", "--help-mdoc"):
            continue
        assert f"{program}_" + flag[2:].replace("-", "_") in page


def assert_named(page, words):
    assert [w for w in words if not re.search(rf"\b{w}\b", page)] == []


def test_the_pages_name_all_that_the_programs_tell(streamd):
    srv = streamd()
    ctl = ctl_helpers.Streamctl("stream", "test:160x120@100", f"127.0.0.1:{srv.port}")
    ctl.out.wait("stats")
    session, = srv.sessions()
    metrics = srv.metrics().types
    ctl.signal(2)
    ctl.join()
    srv.stop()
    page = rendered("streamd")
    assert_named(page, session)
    assert_named(page, metrics)
    for event in srv.log.events:
        assert_named(page, [event["event_type"], *event])
    page = rendered("streamctl")
    for event in ctl.out.events:
        assert_named(page, [event["event"], *event])
    assert_named(page, ctl.end["latency"])


def commands(program):
    """What README says to type, without what is piped in front and behind."""
    text = (harness.ROOT / "README.md").read_text()
    for line in re.findall(r"^    \$ (.*)$", text, re.M):
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|")
        lexer.whitespace_split, lexer.commenters = True, "#"
        words = list(lexer)
        if program in words:
            behind = words[words.index(program) + 1:]
            yield behind[:behind.index("|")] if "|" in behind else behind


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_readme_says_to_type_is_understood(program):
    found = list(commands(program))
    assert len(found) > 3
    for words in found:
        done = subprocess.run([PROGRAMS[program](), *words, "--print-config"], text=True,
                              env=ctl_helpers.clean_env(), capture_output=True)
        assert done.returncode == 0, (words, done.stderr)
        if program == "streamd":  # --print-config ends it before it complains of arguments
            assert all(flag.startswith("--") for flag in words[::2]), words


@pytest.mark.parametrize("page", ["streamd.8", "streamctl.1", "streamload.1", "streamd-protocol.7",
                                  "streamd-pipeline.7"])
def test_the_pages_are_clean(page):
    path = page_path("streamd").parent / page
    lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", path], capture_output=True, text=True)
    assert lint.returncode == 0, lint.stdout


def test_the_python_client_of_the_protocol_page_works(streamd, tmp_path):
    """Taken out of the page and run against a server, so it cannot rot."""
    source = (page_path("streamd").parent / "streamd-protocol.7").read_text()
    blocks = re.findall(r"^\.Bd .*?\n(.*?)^\.Ed", source, re.S | re.M)
    client = [b for b in blocks if "import" in b and "websockets" in b]
    assert len(client) == 1
    code = client[0].replace("\\e", "\\").replace("\\-", "-").replace("\\(aq", "'")
    srv = streamd("--pipeline", "motion=inspect")
    code = code.replace("localhost:8000", f"127.0.0.1:{srv.port}")
    assert str(srv.port) in code
    (tmp_path / "client.py").write_text(code)
    import jpegs
    pictures = []
    for i in range(3):
        pictures.append(tmp_path / f"{i}.jpg")
        pictures[-1].write_bytes(jpegs.GRAY)
    done = subprocess.run(["/usr/bin/python3", tmp_path / "client.py", *pictures],
                          capture_output=True, text=True, timeout=harness.TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), done.stderr
