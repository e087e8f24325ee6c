// Copyright (c) 2026 the kvmops.resctrl authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// What an open, a read and a close of each counter cost in C, the number parsed and kept.
// loop ROOT ROUNDS: prints the microseconds of CPU time for each value, a line for each round.

#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *const events[] = {"llc_occupancy", "mbm_total_bytes", "mbm_local_bytes"};

static double cpu_time(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

int main(int argc, char **argv)
{
	static char *names[65536];
	static unsigned long long values[65536][2][3];
	char path[4096], text[64];
	int count = 0;
	struct dirent *entry;
	DIR *groups;

	if (argc != 3)
		return 2;
	snprintf(path, sizeof(path), "%s/mon_groups", argv[1]);
	groups = opendir(path);
	while (groups && (entry = readdir(groups)))
		if (entry->d_name[0] != '.' && count < 65536)
			names[count++] = strdup(entry->d_name);
	if (!count)
		return 1;
	for (int round = atoi(argv[2]); round > 0; round--) {
		double began = cpu_time();

		for (int group = 0; group < count; group++)
			for (int cache = 0; cache < 2; cache++)
				for (int event = 0; event < 3; event++) {
					snprintf(path, sizeof(path), "%s/mon_groups/%s/mon_data/mon_L3_%02d/%s", argv[1],
						 names[group], cache, events[event]);
					int file = open(path, O_RDONLY | O_CLOEXEC);
					ssize_t length = read(file, text, sizeof(text) - 1);

					if (length < 0)
						return 1;
					text[length] = 0;
					values[group][cache][event] = strtoull(text, NULL, 10);
					close(file);
				}
		printf("%.4f\n", (cpu_time() - began) / count / 6);
	}
	return values[count - 1][1][2] == 0;
}
