# Copyright (c) 2026 the kvmops.resctrl authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# Completion of resctrl-mon: verbs, options, what options can be, and the names of running domains.

_resctrl_mon_verb() {
    local number
    for ((number = 1; number < COMP_CWORD; number++)); do
        case ${COMP_WORDS[number]} in
            --resctrl-path | --source) ((number++)) ;;
            -*) ;;
            *)
                printf '%s' "${COMP_WORDS[number]}"
                return
                ;;
        esac
    done
}

_resctrl_mon_options() {
    case $1 in
        '') printf '%s' '--version' ;;
        status) printf '%s' '--json' ;;
        stats) printf '%s' '--interval --table --csv --json' ;;
        top) printf '%s' '--interval --once --sort' ;;
        why) printf '%s' '--interval --ceiling --json' ;;
        enable) printf '%s' '--persistent --scope --takeover --bandwidth --leave-cpu-group' ;;
        disable) printf '%s' '--persistent' ;;
        enforce) printf '%s' '--check --quiet --json' ;;
        metrics) printf '%s' '--output --mode --interval' ;;
    esac
    printf '%s' ' --resctrl-path --source --help'
}

# The running domains whose names, or for Proxmox VE numbers, begin with $1. libvirt and Proxmox VE keep a file for each.
_resctrl_mon_domains() {
    local file
    for file in /run/libvirt/qemu/*.xml /run/qemu-server/*.pid; do
        file=${file##*/}
        file=${file%.*}
        if [[ $file != '*' && $file == "$1"* ]]; then COMPREPLY+=("$(printf '%q' "$file")"); fi
    done
}

_resctrl_mon() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb
    local words=''
    COMPREPLY=()
    verb=$(_resctrl_mon_verb)
    case $before in
        --resctrl-path)
            mapfile -t COMPREPLY < <(compgen -d -- "$word")
            return
            ;;
        --output)
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
            ;;
        --interval | --ceiling | --mode) return ;;
        --sort) words='name cache total local watts' ;;
        --scope) words='vcpus domain' ;;
        --bandwidth) words='auto true false' ;;
        --source) words='libvirt processes' ;;
        *)
            if [[ $word == -* ]]; then
                words=$(_resctrl_mon_options "$verb")
            elif [[ -z $verb ]]; then
                words='status stats top why enable disable enforce metrics clear'
            elif [[ $verb != why && $verb != enforce && $verb != metrics && $verb != clear ]]; then
                _resctrl_mon_domains "$word"
                return
            fi
            ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _resctrl_mon resctrl-mon
