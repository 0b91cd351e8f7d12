/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef LG_LIB_EXIT_H
#define LG_LIB_EXIT_H

/*
 * Exit statuses of the command. The numbers are vzctl's, so that scripts written for it keep
 * working under either name; lodge's own start where vzctl has none.
 */
enum lg_exit {
	LG_EXIT_OK = 0,
	LG_EXIT_SYSTEM = 3,		/* a system call failed: see the message */
	LG_EXIT_RESOURCES = 6,
	LG_EXIT_ENV_CREATE = 7,		/* the container's environment could not be made */
	LG_EXIT_EXEC = 8,		/* vzctl exec: the command failed */
	LG_EXIT_LOCKED = 9,		/* another operation holds the instance */
	LG_EXIT_NO_GLOBAL_CONF = 10,
	LG_EXIT_PERMISSION = 12,
	LG_EXIT_NO_CONF = 14,
	LG_EXIT_CHKPNT = 16,		/* it could not be suspended */
	LG_EXIT_RESTORE = 17,		/* it could not be resumed */
	LG_EXIT_BAD_OPTION = 20,
	LG_EXIT_BAD_VALUE = 21,
	LG_EXIT_MISSING = 27,		/* a needed parameter is not there */
	LG_EXIT_NO_TEMPLATE_NAMED = 29,
	LG_EXIT_NOT_RUNNING = 31,
	LG_EXIT_RUNNING = 32,
	LG_EXIT_CANNOT_STOP = 33,
	LG_EXIT_CANNOT_ADD_IP = 34,
	LG_EXIT_NOT_MOUNTED = 40,
	LG_EXIT_MOUNTED = 41,
	LG_EXIT_NO_PRIVATE = 43,
	LG_EXIT_PRIVATE_EXISTS = 44,
	LG_EXIT_NO_SPACE = 46,
	LG_EXIT_BAD_TEMPLATE = 47,	/* no init in it */
	LG_EXIT_CREATE = 48,
	LG_EXIT_MOUNT = 50,
	LG_EXIT_UMOUNT = 51,
	LG_EXIT_DELETE = 52,
	LG_EXIT_SET = 62,
	LG_EXIT_HOSTNAME = 70,
	LG_EXIT_BAD_IP = 71,
	LG_EXIT_PASSWORD = 74,
	LG_EXIT_IP_IN_USE = 78,
	LG_EXIT_BAD_CONF = 85,
	LG_EXIT_NO_ADDRESS_FREE = 89,
	LG_EXIT_NO_TEMPLATE = 91,
	LG_EXIT_DISABLED = 105,
	LG_EXIT_NAME = 131,
	LG_EXIT_WAIT_FAILED = 133,
	LG_EXIT_SAVE = 139,
	LG_EXIT_NO_DAEMON = 201,	/* lodged does not answer */
	LG_EXIT_CANCELLED = 202,
	LG_EXIT_HANGS = 204,		/* killed, but a process of it hangs in the kernel (D state) */
	LG_EXIT_DOCTOR = 203,		/* doctor found something that will not work */
};

#endif
