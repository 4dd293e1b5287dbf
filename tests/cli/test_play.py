"""`svsim play`: the same on a terminal of any kind, and on none."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from svsim.data import FeedStore
from tests.cli.test_commands import run

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def arguments(store: FeedStore) -> tuple[object, ...]:
    return ("play", "--store", store.path, "--env", "replay", "--split", "train", "--candidates", 4, "--horizon", 3)


def on_terminal(
    store: FeedStore, columns: int, *words: str, interrupt: bool = False, **environment: str
) -> tuple[int, str]:
    """Status and output of the command on a terminal of so many columns, interrupted once it draws if so."""
    ours, theirs = pty.openpty()
    ran = subprocess.Popen(
        [sys.executable, "-m", "svsim", *map(str, arguments(store)), "--delay", "0", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        # A suite that runs in the background ignores interrupts, and what it starts would too.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        env=dict(os.environ) | {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "40"} | environment,
    )
    os.close(theirs)
    text = b""
    while True:
        try:
            part = os.read(ours, 65_536)
        except OSError:
            break
        if not part:
            break
        text += part
        if interrupt and "╯".encode() in text:
            ran.send_signal(signal.SIGINT)
            interrupt = False
    os.close(ours)
    return ran.wait(), text.decode()


def test_without_a_terminal_each_step_is_a_line(capsys: pytest.CaptureFixture[str], store: FeedStore) -> None:
    status, out, err = run(capsys, *arguments(store), "--agent", "random", "--agent", "oracle")
    assert (status, err) == (0, "")
    assert "\x1b" not in out
    steps = re.findall(r"^(random|oracle): step (\d) of 3: (user \d+|video \d+)", out, re.MULTILINE)
    assert [step[:2] for step in steps] == [(name, str(step)) for step in range(4) for name in ("random", "oracle")]
    assert steps[0][2] == steps[1][2], "both serve the same user"
    assert "the episode is over" in out
    assert "svsim benchmark" in out


def test_one_document_for_programs(capsys: pytest.CaptureFixture[str], store: FeedStore) -> None:
    status, out, _ = run(capsys, *arguments(store), "--agent", "random", "--agent", "oracle", "--json")
    told = json.loads(out)
    assert status == 0
    assert [own["agent"] for own in told] == ["random", "oracle"]
    assert told[1]["metrics"]["reward"] >= told[0]["metrics"]["reward"]


def test_a_terminal_shows_two_panels_within_its_columns(store: FeedStore) -> None:
    status, text = on_terminal(store, 80, "--agent", "random", "--agent", "oracle")
    assert status == 0
    plain = ESCAPE.sub("", text)
    assert "─ random ─" in plain
    assert "─ oracle ─" in plain
    both = [line for line in re.split(r"[\r\n]+", plain) if "random" in line and "oracle" in line]
    assert both, "side by side"
    assert max(map(len, re.split(r"[\r\n]+", plain))) <= 80
    assert "\x1b[38;" in text, "in colours"


def test_a_terminal_without_colour_has_none(store: FeedStore) -> None:
    status, text = on_terminal(store, 80, "--agent", "random", NO_COLOR="1")
    assert status == 0
    assert "38;" not in text
    assert "─ random ─" in text


def test_a_dumb_terminal_gets_lines(store: FeedStore) -> None:
    status, text = on_terminal(store, 80, "--agent", "random", TERM="dumb")
    assert status == 0
    assert "\x1b[" not in text
    assert "random: step 3 of 3" in text


def test_a_film_is_written(capsys: pytest.CaptureFixture[str], store: FeedStore, tmp_path: Path) -> None:
    film = tmp_path / "new" / "film.webp"
    status, out, _ = run(capsys, *arguments(store), "--agent", "random", "--film", film)
    assert status == 0
    assert f"{film}: 4 frames" in out
    assert film.read_bytes()[8:12] == b"WEBP"
    assert (tmp_path / "new" / "film-still.webp").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--agent", "nobody"), "found 'nobody'"),
        (("--agent", "random", "--agent", "oracle", "--agent", "random"), "one agent or two, found 3"),
        (("--user", "123456789"), "123456789 has no session"),
        (("--film", "film.mp4"), "RecordVideo"),
        (("--response", "truth"), "--env feed"),
        (("--session", "1"), "name --user"),
        (("--seed", "-1"), "--seed: expected at least 0"),
        (("--delay", "-1"), "--delay: expected at least 0"),
        (("--horizon", "0"), "horizon"),
        (("--store", "/no/such"), "/no/such: expected a store"),
        (("--agent", "tests.examples.failing:Nothing"), "tests.examples.failing:Nothing"),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str], store: FeedStore, words: tuple[str, ...], told: str
) -> None:
    status, _, err = run(capsys, *arguments(store), *words)
    assert status == 2
    assert err.startswith("svsim: ")
    assert err.count("\n") == 1
    assert told in err


def test_an_interrupt_gives_the_terminal_back(store: FeedStore) -> None:
    """Ctrl-C between two steps: the cursor is shown again."""
    status, text = on_terminal(store, 80, "--agent", "random", "--delay", "60", interrupt=True)
    assert status == 130
    assert text.rindex("\x1b[?25h") > text.index("\x1b[?25l")
    assert "interrupted" in text


def test_a_film_beside_a_document_leaves_it_one(
    capsys: pytest.CaptureFixture[str], store: FeedStore, tmp_path: Path
) -> None:
    status, out, _ = run(capsys, *arguments(store), "--agent", "random", "--json", "--film", tmp_path / "film.gif")
    assert status == 0
    assert json.loads(out)[0]["agent"] == "random"
    assert (tmp_path / "film.gif").is_file()
