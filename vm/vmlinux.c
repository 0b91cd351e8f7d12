/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How it works: a bzImage (Documentation/arch/x86/boot.rst in Linux) says where the packed kernel in it is and how long. Behind
 * its end stands its unpacked size, 4 bytes, whatever it is packed with; of gzip they are part of the format.
 */

#include "vm/cache.h"

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define KERNEL_MAX (UINT64_C(512) << 20)
#define HEAD_BYTES 0x268u
#define PAGE 4096u
#define NOTE_PVH 18u		/* XEN_ELFNOTE_PHYS32_ENTRY */
#define NOTES_MAX 65536u
#define PHDRS_MAX 64u

struct bzimage {
	const uint8_t *bytes;
	size_t size;
	const uint8_t *payload;
	size_t payload_size;
	uint32_t unpacked;
};

static uint32_t le32_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static int parse(struct bzimage *bz)
{
	unsigned int setup;
	uint64_t at;

	if (bz->size < HEAD_BYTES || memcmp(bz->bytes + 0x202, "HdrS", 4) != 0)
		return -ENOEXEC;
	/* Before 2.08 there was no such field. */
	if ((bz->bytes[0x207] << 8 | bz->bytes[0x206]) < 0x208)
		return -ENOEXEC;
	setup = bz->bytes[0x1f1] ? bz->bytes[0x1f1] : 4;
	at = (setup + 1u) * UINT64_C(512) + le32_at(bz->bytes + 0x248);
	bz->payload_size = le32_at(bz->bytes + 0x24c);
	if (bz->payload_size < 8 || at > bz->size || bz->payload_size > bz->size - at)
		return -ENOEXEC;
	bz->payload = bz->bytes + at;
	bz->unpacked = le32_at(bz->payload + bz->payload_size - 4);
	if (memcmp(bz->payload, "\x1f\x8b", 2) != 0)
		bz->payload_size -= 4;
	return bz->unpacked > KERNEL_MAX ? -ENOEXEC : 0;
}

/* Pages of zeros stay holes. */
static int write_sparse(int out, const uint8_t *data, size_t len, uint64_t at)
{
	static const uint8_t zeros[PAGE];

	while (len) {
		size_t n = PAGE - at % PAGE;

		n = n < len ? n : len;
		if (memcmp(data, zeros, n) != 0 && pwrite(out, data, n, (off_t)at) != (ssize_t)n)
			return errno ? -errno : -ENOSPC;
		data += n;
		at += n;
		len -= n;
	}
	return 0;
}

static int unpack_with(struct archive *a, const struct bzimage *bz, int out)
{
	struct archive_entry *entry;
	static uint8_t block[65536];
	uint64_t at = 0;
	la_ssize_t n;
	int r = 0;

	if (archive_read_open_memory(a, bz->payload, bz->payload_size) != ARCHIVE_OK ||
	    archive_read_next_header(a, &entry) != ARCHIVE_OK)
		return -ENOEXEC;
	while (r == 0 && at < bz->unpacked) {
		size_t most = bz->unpacked - at < sizeof(block) ? bz->unpacked - at : sizeof(block);

		n = archive_read_data(a, block, most);
		if (n <= 0)
			return -ENOEXEC;
		r = write_sparse(out, block, (size_t)n, at);
		at += (size_t)n;
	}
	return r < 0 || ftruncate(out, (off_t)at) == 0 ? r : -errno;
}

static int unpack(const struct bzimage *bz, int out)
{
	struct archive *a = archive_read_new();
	int r;

	if (!a)
		return -ENOMEM;
	archive_read_support_filter_all(a);
	archive_read_support_format_raw(a);
	r = unpack_with(a, bz, out);
	archive_read_free(a);
	return r;
}

/* ---- PVH ---- */

static bool notes_have_pvh(const uint8_t *notes, size_t size)
{
	size_t at = 0;

	while (size - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr n;
		size_t name = at + sizeof(n), rest;

		memcpy(&n, notes + at, sizeof(n));
		rest = ((size_t)n.n_namesz + 3) / 4 * 4 + ((size_t)n.n_descsz + 3) / 4 * 4;
		if (rest > size - name)
			return false;
		if (n.n_type == NOTE_PVH && n.n_namesz == 4 && memcmp(notes + name, "Xen", 4) == 0)
			return true;
		at = name + rest;
	}
	return false;
}

static bool is_elf(const Elf64_Ehdr *h)
{
	return memcmp(h->e_ident, ELFMAG, SELFMAG) == 0 && h->e_ident[EI_CLASS] == ELFCLASS64 &&
	       h->e_machine == EM_X86_64 && h->e_phentsize == sizeof(Elf64_Phdr) && h->e_phnum <= PHDRS_MAX;
}

int lg_vm_has_pvh(int fd)
{
	static uint8_t notes[NOTES_MAX];
	Elf64_Ehdr h;

	if (pread(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h) || !is_elf(&h))
		return 0;
	for (unsigned int i = 0; i < h.e_phnum; i++) {
		Elf64_Phdr p;
		ssize_t n;

		if (pread(fd, &p, sizeof(p), (off_t)(h.e_phoff + i * sizeof(p))) != (ssize_t)sizeof(p))
			return 0;
		if (p.p_type != PT_NOTE)
			continue;
		n = pread(fd, notes, p.p_filesz < sizeof(notes) ? p.p_filesz : sizeof(notes), (off_t)p.p_offset);
		if (n > 0 && notes_have_pvh(notes, (size_t)n))
			return 1;
	}
	return 0;
}

static int copy(int in, size_t size, int out)
{
	off_t at = 0;

	if (ftruncate(out, 0) < 0 || lseek(out, 0, SEEK_SET) < 0)
		return -errno;
	while ((size_t)at < size)
		if (sendfile(out, in, &at, size - (size_t)at) <= 0)
			return errno ? -errno : -EIO;
	return 0;
}

int lg_vm_vmlinux(int in, int out, struct lg_err *err)
{
	struct bzimage bz = { 0 };
	struct stat st;
	void *p;
	int r;

	if (fstat(in, &st) < 0)
		return lg_fail(err, -errno, "look at the kernel");
	bz.size = (size_t)st.st_size;
	p = bz.size ? mmap(NULL, bz.size, PROT_READ, MAP_PRIVATE, in, 0) : MAP_FAILED;
	if (p == MAP_FAILED)
		return lg_refuse(err, -ENOEXEC, 0, "the kernel cannot be read");
	bz.bytes = p;
	r = parse(&bz);
	if (r < 0)
		r = lg_refuse(err, r, 0, "the kernel is no bzImage");
	else
		r = unpack(&bz, out);
	munmap(p, bz.size);
	if (r == 0 && lg_vm_has_pvh(out))
		return 1;
	/* What it is packed with only itself knows, or it cannot be started otherwise. */
	if (bz.payload && (r == 0 || r == -ENOEXEC))
		r = copy(in, bz.size, out);
	return r < 0 && !(err && err->code) ? lg_fail(err, r, "unpack the kernel") : r;
}
