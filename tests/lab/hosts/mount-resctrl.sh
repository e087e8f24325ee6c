#!/bin/sh
# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# mount.resctrl SOURCE TARGET [-o OPTIONS]: what mount(8) calls for "mount -t resctrl". It starts lab-emulator and returns
# when that serves; umount(8) ends it.
set -u

case "$*" in
    *cdp* | *mba_MBps* | *debug*)
        echo "mount.resctrl: this host's hardware has no such option" >&2
        exit 32
        ;;
esac

pid_file=/run/lab-emulator.pid
pipe=/run/lab-emulator.pipe
log=/opt/kvmops-lab/log/emulator.log

# The emulator before may not have noticed yet that it was unmounted, and it removes the control socket when it ends.
tries=0
while kill -0 "$(cat "$pid_file")" && [ "$tries" -lt 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
done 2>/dev/null

rm -f "$pipe"
mkfifo -m 600 "$pipe" || exit 32
lab-emulator >"$pipe" 2>>"$log" </dev/null &
echo $! >"$pid_file"
read -r line <"$pipe"
rm -f "$pipe"
[ "$line" = ready ] && exit 0
tail -n 3 "$log" >&2
exit 32
