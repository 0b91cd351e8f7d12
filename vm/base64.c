/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vm/base64.h"

#include <nettle/base64.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

char *lg_base64_encode(const void *data, size_t len, size_t *ret_len)
{
	char *text = malloc(BASE64_ENCODE_RAW_LENGTH(len) + 1);

	if (!text)
		return NULL;
	base64_encode_raw(text, len, data);
	*ret_len = BASE64_ENCODE_RAW_LENGTH(len);
	return text;
}

size_t lg_base64_decode(char *text)
{
	struct base64_decode_ctx ctx;
	size_t len = strlen(text);

	base64_decode_init(&ctx);
	/* It reads ahead of what it writes. */
	if (!base64_decode_update(&ctx, &len, (uint8_t *)text, len, text) || !base64_decode_final(&ctx))
		return 0;
	return len;
}
