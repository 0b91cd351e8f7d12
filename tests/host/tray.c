/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * tray hold|yield: inside a guest, have the CD open, which locks the drive. hold: whatever happens. yield: until the drive's button is
 * pressed, of which the kernel tells; then open the drive and end. Says "locked" when it has.
 */

#include <fcntl.h>
#include <linux/cdrom.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Fields of an event are NUL-ended. */
static int is_button(const char *text, size_t len)
{
	for (const char *p = text; p < text + len; p += strlen(p) + 1)
		if (strcmp(p, "DISK_EJECT_REQUEST=1") == 0)
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int events = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT), fd = open("/dev/sr0", O_RDONLY | O_CLOEXEC);
	char text[8192];
	ssize_t n;

	if (argc != 2 || fd < 0 || events < 0 || bind(events, (struct sockaddr *)&kernel, sizeof(kernel)) < 0) {
		perror("tray");
		return 1;
	}
	puts("locked");
	fflush(stdout);
	while ((n = recv(events, text, sizeof(text) - 1, 0)) > 0) {
		text[n] = '\0';
		if (strcmp(argv[1], "yield") == 0 && is_button(text, (size_t)n))
			break;
	}
	if (n <= 0 || ioctl(fd, CDROMEJECT) < 0) {
		perror("tray");
		return 1;
	}
	puts("opened");
	return 0;
}
