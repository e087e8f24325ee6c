# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""resctrl-mon in an operator's hand: the live table on terminals, tables and CSV, what is declared, and what is typed
wrong.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios

import pyte
import pytest
from modules import ROOT
from waiting import wait_until

from hosts import Cachetune, domain_xml

DOMAINS = ["vm3", "vm4"]
# One of four is the default group's
PROFILE = "few-rmids"
DIRECTORY = "/etc/kvmops-resctrl"
MEMORY = "/run/kvmops-resctrl"
FILES = f"{ROOT}/roles/resctrl_monitor/files"
COMMAND = (
    "env",
    f"PYTHONPATH={ROOT}/plugins/module_utils",
    "PYTHONDONTWRITEBYTECODE=1",
    "python3",
    f"{FILES}/agent.py",
)


# The end of a line with both rates
_RATES = re.compile(r"^vm3 .* [0-9.]+[BKMG] +[0-9.]+[BKMG]$")


@pytest.fixture(name="agent")
def agent_fixture(hv):
    """resctrl-mon(verb, ...) -> (status, stdout, stderr)."""

    def run(*arguments):
        done = hv.host.run([*COMMAND, *arguments], check=False)
        return done.returncode, done.stdout, done.stderr

    yield run
    hv.host.run(["rm", "-rf", DIRECTORY, MEMORY])


@pytest.fixture(name="declare")
def declare_fixture(hv):
    """Write the policy file, as the role does."""

    def write(**policy):
        hv.host.run(["mkdir", "-p", DIRECTORY])
        hv.host.run(["tee", f"{DIRECTORY}/policy.json"], input=json.dumps(policy))

    return write


# -- terminals ---------------------------------------------------------------------------------------------------------


class Terminal:
    """A program on a terminal, and what its screen shows."""

    def __init__(self, argv, height=24, width=80):
        self.screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self._controller, self._end = pty.openpty()
        self.resize(height, width)
        self.settings = termios.tcgetattr(self._end)
        self.process = subprocess.Popen(argv, stdin=self._end, stdout=self._end, stderr=self._end)

    def resize(self, height, width):
        """The window gets another size."""
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.screen.resize(height, width)

    def press(self, keys):
        """Type."""
        os.write(self._controller, keys.encode())

    @property
    def lines(self):
        """What is on the screen now."""
        while select.select([self._controller], [], [], 0)[0]:
            new = os.read(self._controller, 65536)
            self.raw += new
            self._stream.feed(new)
        return [line.rstrip() for line in self.screen.display]

    def shows(self, *words):
        """Wait until all of these are on the screen."""
        wait_until(lambda: all(word in "\n".join(self.lines) for word in words), f"{words} on {self.lines}")

    def ends(self):
        """Wait until the program has ended; its status."""
        # It may have something to say yet
        wait_until(lambda: (self.lines, self.process.poll())[1] is not None, "the program ends")
        assert termios.tcgetattr(self._end) == self.settings
        return self.process.returncode

    def close(self):
        """End the program, if it has not ended."""
        # The terminal hangs up: the program in the host gets a signal of its own
        os.close(self._controller)
        os.close(self._end)
        self.process.wait(timeout=60)


@pytest.fixture(name="top")
def top_fixture(hv, agent):
    """resctrl-mon top on a terminal of a kind."""
    assert agent("enable", "vm3")[0] == 0
    with contextlib.ExitStack() as stack:

        def start(*options, kind="vt100", **size):
            # In a session of its own on the host, or Ctrl-C would end what leads there too
            # Whoever started the tests (nohup, for example) may have signals ignored, which is inherited
            session = ["setsid", "--ctty", "--wait", "env", "--default-signal", f"TERM={kind}"]
            argv = hv.host.argv([*session, *COMMAND, "top", *options])
            terminal = Terminal(argv, **size)
            stack.callback(terminal.close)
            return terminal

        yield start


@pytest.mark.parametrize("kind", ["vt100", "vt220", "xterm", "linux"])
def test_the_first_values_are_on_the_screen_at_once_and_q_ends_it(hv, top, kind):
    (cache,) = hv.stats("vm3")["caches"]
    hv.control.set(hv.ours("vm3"), cache["id"], "llc_occupancy", 180224)
    terminal = top("--interval", "3600", kind=kind)
    terminal.shows(
        "DOMAIN", "CACHE*", "vm3        Enabled      176K", "vm4        Disabled", "(sum)", "(the rest)", "q)uit"
    )
    terminal.press("q")
    assert terminal.ends() == 0


def test_rates_follow_after_the_interval_and_ctrl_c_ends_it(top):
    terminal = top("--interval", "0.2", "vm3")
    wait_until(lambda: any(_RATES.search(line) for line in terminal.lines), "rates")
    terminal.press("\x03")
    assert terminal.ends() == 0


def test_sigterm_puts_the_terminal_back_too(hv, top):
    terminal = top("--interval", "3600", kind="xterm")
    terminal.shows("vm3")
    (pid,) = [int(pid) for pid in hv.host.run(["pgrep", "--full", "agent.py top"]).stdout.split()][-1:]
    hv.host.run(["kill", str(pid)])
    terminal.ends()
    assert terminal.raw.rstrip().endswith(b"\x1b>") or b"\x1b[?1049l" in terminal.raw


def test_keys_sort_the_table(top):
    terminal = top("--interval", "3600")
    terminal.shows("CACHE*")
    terminal.press("n")
    terminal.shows("DOMAIN*")
    terminal.press("t")
    terminal.shows("TOTAL/s*")


def test_it_follows_the_size_of_the_window(top):
    terminal = top("--interval", "3600")
    terminal.shows("vm3", "(sum)")
    terminal.resize(3, 30)
    terminal.shows("vm3        Enabled", "1-1 of 2")
    terminal.resize(24, 80)
    terminal.shows("vm4        Disabled", "q)uit, sort by")
    terminal.press("q")
    assert terminal.ends() == 0


def test_domains_may_start_stop_and_be_renamed_meanwhile(hv, top):
    terminal = top("--interval", "0.2")
    hv.start("vm5")
    terminal.shows("vm5        Disabled")
    hv.virsh("destroy", "vm5")
    wait_until(lambda: not any("vm5" in line for line in terminal.lines), "vm5 leaves the table")
    hv.virsh("domrename", "vm5", "vm6")
    hv.virsh("start", "vm6")
    terminal.shows("vm6        Disabled")


def test_a_host_whose_resctrl_goes_away_is_no_end(hv, top):
    """The table is of a bind mount, which can be taken away without the emulator's end."""
    hv.host.run(["mkdir", "-p", "/run/other"])
    hv.host.run(["mount", "--bind", "/sys/fs/resctrl", "/run/other"])
    try:
        terminal = top("--interval", "0.2", "--resctrl-path", "/run/other")
        terminal.shows("vm3")
        hv.host.run(["umount", "/run/other"])
        terminal.shows("resctrl is not mounted at /run/other", "--resctrl-path")
        hv.host.run(["mount", "--bind", "/sys/fs/resctrl", "/run/other"])
        terminal.shows("vm3        Enabled")
    finally:
        hv.host.run(["umount", "/run/other"], check=False)
        hv.host.run(["rmdir", "/run/other"])


@pytest.mark.parametrize("kind", ["dumb", "no-such-terminal"])
def test_on_a_terminal_whose_cursor_cannot_be_moved_the_table_is_printed_once(top, kind):
    terminal = top("--interval", "0.1", kind=kind)
    assert terminal.ends() == 0
    assert b"\x1b" not in terminal.raw
    assert b"(the rest)" in terminal.raw


# -- tables and CSV ----------------------------------------------------------------------------------------------------


def test_where_nobody_looks_the_table_is_printed_once(agent):
    agent("enable", "vm3")
    for words in (
        ["top", "--interval", "0.1"],
        ["top", "--once", "--interval", "0.1"],
        ["stats", "--interval", "0.1", "--table"],
    ):
        status, out, err = agent(*words)
        assert (status, err) == (0, "")
        head, *body = out.splitlines()
        assert head.split()[:3] == ["DOMAIN", "STATUS", "CACHE*"]
        assert [line.split()[0] for line in body] == ["vm3", "vm4", "(sum)", "(the"]


def test_names_cannot_change_the_table(hv, agent):
    for name in ("仮想", "a\u202eb"):
        hv.start(name)
    out = agent("top", "--once", "--interval", "0.1")[1]
    assert "\u202e" not in out
    starts = [line.split()[0] for line in out.splitlines()]
    assert {"仮想", r"a\u202eb"} <= set(starts)


def test_csv_has_what_json_has(hv, agent):
    agent("enable", "vm3")
    hv.control.freeze()
    told = json.loads(agent("stats", "--json")[1])
    lines = {line["domain"]: line for line in csv.DictReader(io.StringIO(agent("stats", "--csv")[1]))}
    assert lines.keys() == told.keys()
    assert lines["vm3"]["cmt"] == str(told["vm3"]["cmt"])
    assert (lines["vm4"]["cmt"], lines["vm4"]["reason"]) == ("", "disabled")
    with_rates = next(csv.DictReader(io.StringIO(agent("stats", "vm3", "--csv", "--interval", "0.1")[1])))
    assert float(with_rates["mbm_total_bytes_per_second"]) == 0


# -- what is declared --------------------------------------------------------------------------------------------------


def test_status_says_what_is_declared_and_how_it_stands(hv, agent, declare):
    hv.host.define(domain_xml("vm1", kvm=False))
    declare(default="enabled", domains=[{"name": "vm4", "state": "disabled"}])
    assert agent("enforce")[0] == 0
    assert agent("status", "vm3")[1] == (
        "RDT Monitoring Status: Enabled\n  Declared: enabled by the default. Now: counted\n"
    )
    assert "Declared: disabled by rule 'vm4'. Now: not monitored" in agent("status", "vm4")[1]
    assert "Declared: enabled by the default. Now: shut off" in agent("status", "vm1")[1]
    (told,) = json.loads(agent("status", "vm3", "--json")[1])
    assert told["declared"] == {
        "state": "enabled",
        "rule": None,
        "switch": None,
        "priority": 0,
        "condition": "counted",
        "why": "",
        "takes_turns": False,
    }


def test_a_check_says_what_would_be_done_and_does_nothing(hv, agent, declare):
    declare(default="enabled")
    expected = "Nothing was changed. A run would say:\nvm3: Now counted: vCPU 0, 1\nvm4: Now counted: vCPU 0, 1\n"
    assert agent("enforce", "--check") == (0, expected, "")
    assert hv.groups() == {}
    assert hv.host.run(["test", "-e", MEMORY], check=False).returncode == 1


def test_a_domain_that_libvirt_counts_waits_for_no_rmid(hv, agent, declare):
    """With a reserve that is as large as what is left there is no RMID for anybody else."""
    hv.start("vm2", cachetune=[Cachetune("0-1", monitors=["0-1"])])
    declare(domains=[{"name": "vm2"}], reserve_rmids=3)
    assert agent("enforce") == (0, "Everything is as declared.\n", "")
    assert "Now: counted" in agent("status", "vm2")[1]


def test_of_several_that_wait_one_is_next_and_it_is_news_once(hv, agent, declare):
    hv.start("vm5")
    declare(default="enabled", reserve_rmids=2)
    out = agent("enforce", "--quiet")[1]
    assert out.startswith("vm3: Now counted: vCPU 0, 1\n")
    waiting = [line for line in out.splitlines() if "Out of RMIDs" in line]
    assert ["the next to be monitored" in line for line in waiting] == [True, False]
    hv.virsh("destroy", "vm3")
    # vm5 is the next now: that it waits was said
    assert agent("enforce", "--quiet")[1].splitlines() == [
        "vm4: Now counted: vCPU 0, 1",
        f"Removed /sys/fs/resctrl/{hv.ours('vm3')}: its domain is gone",
    ]


# -- what is typed -----------------------------------------------------------------------------------------------------


def test_a_domain_that_is_off_is_switched_for_whenever_it_starts(hv, agent):
    hv.host.define(domain_xml("vm1", kvm=False))
    for verb, monitored in (("enable", "will be"), ("disable", "will not be")):
        status, out, err = agent(verb, "vm1", "--persistent")
        assert (status, out) == (0, f"Domain 'vm1' is shut off: it {monitored} monitored whenever it starts.\n")
        assert "Noted, but nothing on this host enforces it" in err


@pytest.mark.parametrize("verb", ["enable", "disable"])
def test_a_pattern_that_matches_nothing_says_so_and_notes_nothing(hv, agent, verb):
    assert agent(verb, "--persistent", "build-*") == (0, "", "warning: No running domain matches 'build-*'\n")
    assert hv.host.run(["test", "-e", DIRECTORY], check=False).returncode == 1


def test_a_near_miss_is_offered(agent):
    expected = "error: Domain not found: no domain with matching name 'VM3'. Did you mean 'vm3'?\n"
    for verb in ("status", "stats", "top", "enable"):
        assert agent(verb, "VM3") == (1, "", expected)


def test_errors_name_the_commands_own_options(hv, agent):
    hv.make_group("mon_groups/pqos-1", hv.vcpus("vm3")[0])
    assert "or take its threads over (--takeover)" in agent("enable", "vm3")[2]
    assert agent("enable", "vm3", "--takeover")[0] == 0
    status, out, err = agent("stats", "--resctrl-path", "/nowhere")
    assert (status, out) == (1, "")
    assert "It is mounted at /sys/fs/resctrl: use --resctrl-path" in err


def test_the_scope_may_be_the_whole_process(hv, agent):
    assert agent("enable", "vm3", "--scope", "domain")[0] == 0
    assert hv.groups()[hv.ours("vm3")] == set(hv.threads("vm3"))


def test_a_reader_that_has_seen_enough_is_no_error(hv):
    shell = 'set -o pipefail; "$@" | true'
    done = hv.host.run(["bash", "-c", shell, "bash", *COMMAND, "stats", "--json"])
    assert done.stderr == ""


def test_bash_offers_the_names_of_the_running_domains(hv):
    hv.start("a b")
    script = f'source {FILES}/resctrl-mon.bash; COMP_WORDS=(resctrl-mon status "$1"); COMP_CWORD=2; _resctrl_mon; '
    script += 'printf "%s\\n" "${COMPREPLY[@]}"'

    def offered(word):
        return set(hv.host.run(["bash", "--norc", "-c", script, "bash", word]).stdout.splitlines())

    assert offered("") == {"vm3", "vm4", r"a\ b"}
    assert offered("vm") == {"vm3", "vm4"}
