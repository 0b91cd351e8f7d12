/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "storage/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/chacha-poly1305.h>
#include <nettle/hkdf.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "lib/cleanup.h"
#include "lib/file.h"

#define MAGIC "LGSEAL1\n"
#define TAG 16u
#define LAST 0x80000000u
#define ENCRYPTED 1u
#define KEY_MIN 32

struct header {
	char magic[8];
	uint8_t flags[4], zeros[4];
	uint8_t salt[32];
	uint8_t key_name[16];
};
_Static_assert(sizeof(struct header) == 64, "the header has no gaps");

struct lg_seal {
	int fd;
	struct header head;
	bool encrypted, over;
	uint64_t chunk;			/* number of the next one */
	struct chacha_poly1305_ctx cipher;
	size_t len;			/* bytes in @data */
	uint8_t data[LG_SEAL_CHUNK + TAG];
};

int lg_seal_key_load(const char *path, struct lg_seal_key *ret, struct lg_err *err)
{
	lg_autoclose int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint8_t buf[sizeof(ret->bytes) + 1];
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return lg_fail(err, -errno, "open the key file '%s'", path);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 077)
		return lg_refuse(err, -EPERM, 0,
				 "the key file '%s' must be a plain file of root that nobody else may read "
				 "(chmod 0400)", path);
	n = read(fd, buf, sizeof(buf));
	if (n < 0)
		return lg_fail(err, -errno, "read the key file '%s'", path);
	if (n < KEY_MIN || (size_t)n > sizeof(ret->bytes))
		return lg_refuse(err, -EINVAL, 0,
				 "the key file '%s' has %s than it must: 32 to 4096 random bytes", path,
				 n < KEY_MIN ? "less" : "more");
	ret->len = (size_t)n;
	memcpy(ret->bytes, buf, ret->len);
	explicit_bzero(buf, sizeof(buf));
	return 0;
}

/* From the administrator's key and the header's random bytes: the file's key, and a name for the former. */
static void derive(struct lg_seal *s, const struct lg_seal_key *key, uint8_t name[16])
{
	static const uint8_t for_key[] = "lodge seal key", for_name[] = "lodge seal name";
	uint8_t prk[SHA256_DIGEST_SIZE], okm[CHACHA_POLY1305_KEY_SIZE];
	struct hmac_sha256_ctx hmac;

	hmac_sha256_set_key(&hmac, sizeof(s->head.salt), s->head.salt);
	hkdf_extract(&hmac, (nettle_hash_update_func *)hmac_sha256_update,
		     (nettle_hash_digest_func *)hmac_sha256_digest, sizeof(prk), key->len, key->bytes, prk);
	hmac_sha256_set_key(&hmac, sizeof(prk), prk);
	hkdf_expand(&hmac, (nettle_hash_update_func *)hmac_sha256_update,
		    (nettle_hash_digest_func *)hmac_sha256_digest, sizeof(prk), sizeof(for_key), for_key,
		    sizeof(okm), okm);
	chacha_poly1305_set_key(&s->cipher, okm);
	hmac_sha256_set_key(&hmac, sizeof(prk), prk);
	hkdf_expand(&hmac, (nettle_hash_update_func *)hmac_sha256_update,
		    (nettle_hash_digest_func *)hmac_sha256_digest, sizeof(prk), sizeof(for_name), for_name,
		    16, name);
	explicit_bzero(prk, sizeof(prk));
	explicit_bzero(okm, sizeof(okm));
	explicit_bzero(&hmac, sizeof(hmac));
}

static void put_u32(uint8_t to[4], uint32_t v)
{
	for (unsigned int i = 0; i < 4; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get_u32(const uint8_t from[4])
{
	return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

/* What the tag covers beside the bytes: the header, the chunk's number, its length word. */
struct context {
	struct header head;
	uint8_t number[8];
	uint8_t word[4];
};

static void context_of(const struct lg_seal *s, const uint8_t word[4], struct context *ret)
{
	ret->head = s->head;
	for (unsigned int i = 0; i < 8; i++)
		ret->number[i] = (uint8_t)(s->chunk >> (8 * i));
	memcpy(ret->word, word, 4);
}

static void plain_tag(const struct context *context, size_t len, const uint8_t *data, uint8_t tag[TAG])
{
	struct sha256_ctx sum;

	sha256_init(&sum);
	sha256_update(&sum, sizeof(*context), (const uint8_t *)context);
	sha256_update(&sum, len, data);
	sha256_digest(&sum, TAG, tag);
}

static void begin_chunk(struct lg_seal *s, const struct context *context)
{
	uint8_t nonce[CHACHA_POLY1305_NONCE_SIZE] = { 0 };

	memcpy(nonce, context->number, sizeof(context->number));
	chacha_poly1305_set_nonce(&s->cipher, nonce);
	chacha_poly1305_update(&s->cipher, sizeof(*context), (const uint8_t *)context);
}

/* ---- writing ---- */

static int write_all(int fd, const void *data, size_t len, struct lg_err *err)
{
	int r = lg_write_all(fd, data, len);

	return r < 0 ? lg_fail(err, r, "write") : 0;
}

static int flush(struct lg_seal *s, bool last, struct lg_err *err)
{
	struct context context;
	uint8_t word[4];
	int r;

	put_u32(word, (uint32_t)s->len | (last ? LAST : 0));
	context_of(s, word, &context);
	if (s->encrypted) {
		begin_chunk(s, &context);
		chacha_poly1305_encrypt(&s->cipher, s->len, s->data, s->data);
		chacha_poly1305_digest(&s->cipher, TAG, s->data + s->len);
	} else {
		plain_tag(&context, s->len, s->data, s->data + s->len);
	}
	r = write_all(s->fd, word, sizeof(word), err);
	if (r == 0)
		r = write_all(s->fd, s->data, s->len + TAG, err);
	s->chunk++;
	s->len = 0;
	return r;
}

int lg_seal_create(int fd, const struct lg_seal_key *key, struct lg_seal **ret, struct lg_err *err)
{
	struct lg_seal *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return lg_fail(err, -ENOMEM, "write");
	s->fd = fd;
	memcpy(s->head.magic, MAGIC, sizeof(s->head.magic));
	put_u32(s->head.flags, key ? ENCRYPTED : 0);
	s->encrypted = key != NULL;
	if (getrandom(s->head.salt, sizeof(s->head.salt), 0) != sizeof(s->head.salt)) {
		free(s);
		return lg_fail(err, -EIO, "get random bytes");
	}
	if (key)
		derive(s, key, s->head.key_name);
	r = write_all(fd, &s->head, sizeof(s->head), err);
	if (r < 0) {
		lg_seal_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

int lg_seal_write(struct lg_seal *s, const void *data, size_t len, struct lg_err *err)
{
	const uint8_t *p = data;
	int r = 0;

	while (r == 0 && len) {
		size_t n = LG_SEAL_CHUNK - s->len;

		n = n < len ? n : len;
		memcpy(s->data + s->len, p, n);
		s->len += n;
		p += n;
		len -= n;
		if (s->len == LG_SEAL_CHUNK)
			r = flush(s, false, err);
	}
	return r;
}

int lg_seal_finish(struct lg_seal *s, struct lg_err *err)
{
	return flush(s, true, err);
}

/* ---- reading ---- */

/* All of @len, or -EBADMSG. */
static int read_all(int fd, void *data, size_t len, struct lg_err *err)
{
	ssize_t n = lg_read_all(fd, data, len);

	if (n < 0)
		return lg_fail(err, (int)n, "read");
	return (size_t)n < len ? lg_refuse(err, -EBADMSG, 0, "it is cut off") : 0;
}

static int check_key(struct lg_seal *s, const struct lg_seal_key *key, struct lg_err *err)
{
	uint8_t name[16];

	s->encrypted = get_u32(s->head.flags) == ENCRYPTED;
	if (s->encrypted && !key)
		return lg_refuse(err, -ENOKEY, 0,
				 "it is encrypted, and no CHECKPOINT_KEY in lodge.conf names its key");
	if (!s->encrypted && key)
		return lg_refuse(err, -EKEYREJECTED, 0,
				 "it is not encrypted, and CHECKPOINT_KEY in lodge.conf says that it must be");
	if (!key)
		return 0;
	derive(s, key, name);
	if (!memeql_sec(name, s->head.key_name, sizeof(name)))
		return lg_refuse(err, -EKEYREJECTED, 0,
				 "it was encrypted with another key than the one CHECKPOINT_KEY in lodge.conf "
				 "names");
	return 0;
}

static int read_head(struct lg_seal *s, struct lg_err *err)
{
	static const uint8_t zeros[4];
	int r = read_all(s->fd, &s->head, sizeof(s->head), err);

	if (r < 0 && r != -EBADMSG)
		return r;
	if (r < 0 || memcmp(s->head.magic, MAGIC, sizeof(s->head.magic)) != 0 ||
	    get_u32(s->head.flags) > ENCRYPTED || memcmp(s->head.zeros, zeros, sizeof(zeros)) != 0)
		return lg_refuse(err, -EBADMSG, 0, "it is no dump file of lodge");
	return 0;
}

int lg_seal_open(int fd, const struct lg_seal_key *key, struct lg_seal **ret, struct lg_err *err)
{
	struct lg_seal *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return lg_fail(err, -ENOMEM, "read");
	s->fd = fd;
	r = read_head(s, err);
	if (r == 0)
		r = check_key(s, key, err);
	if (r < 0) {
		lg_seal_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

static bool is_right(struct lg_seal *s, const uint8_t word[4])
{
	struct context context;
	uint8_t tag[TAG];

	context_of(s, word, &context);
	if (s->encrypted) {
		begin_chunk(s, &context);
		chacha_poly1305_decrypt(&s->cipher, s->len, s->data, s->data);
		chacha_poly1305_digest(&s->cipher, TAG, tag);
	} else {
		plain_tag(&context, s->len, s->data, tag);
	}
	return memeql_sec(tag, s->data + s->len, TAG);
}

ssize_t lg_seal_read(struct lg_seal *s, const void **ret, struct lg_err *err)
{
	uint8_t word[4];
	uint32_t len;
	int r;

	if (s->over)
		return 0;
	r = read_all(s->fd, word, sizeof(word), err);
	if (r < 0)
		return r;
	len = get_u32(word) & ~LAST;
	/* Only the last one may be empty: a loop of empty ones would never end. */
	if (len > LG_SEAL_CHUNK || (len == 0 && !(get_u32(word) & LAST)))
		return lg_refuse(err, -EBADMSG, 0, "it is damaged");
	s->len = len;
	r = read_all(s->fd, s->data, s->len + TAG, err);
	if (r < 0)
		return r;
	if (!is_right(s, word))
		return lg_refuse(err, -EBADMSG, 0, "it is damaged");
	s->over = get_u32(word) & LAST;
	s->chunk++;
	*ret = s->data;
	return (ssize_t)s->len;
}

void lg_seal_free(struct lg_seal *s)
{
	if (!s)
		return;
	explicit_bzero(s, sizeof(*s));
	free(s);
}
