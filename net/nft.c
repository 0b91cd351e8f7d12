/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/nft.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

struct lg_nft {
	struct nft_ctx *ctx;
};

int lg_nft_new(struct lg_nft **ret, struct lg_err *err)
{
	struct lg_nft *nft = calloc(1, sizeof(*nft));

	if (!nft)
		return lg_fail(err, -ENOMEM, "make an nftables context");
	nft->ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!nft->ctx || nft_ctx_buffer_error(nft->ctx) != 0 ||
	    nft_ctx_buffer_output(nft->ctx) != 0) {
		lg_nft_free(nft);
		return lg_fail(err, -ENOMEM, "make an nftables context");
	}
	nft_ctx_output_set_flags(nft->ctx, NFT_CTX_OUTPUT_NUMERIC_ALL);
	*ret = nft;
	return 0;
}

void lg_nft_free(struct lg_nft *nft)
{
	if (!nft)
		return;
	if (nft->ctx)
		nft_ctx_free(nft->ctx);
	free(nft);
}

/*
 * "<file>:1:2-3: Error: Could not process rule: ..." and lines that show where: the words only.
 */
static int fail(struct lg_nft *nft, const char *what, struct lg_err *err)
{
	static const char mark[] = "Error: ";
	const char *text = nft_ctx_get_error_buffer(nft->ctx);
	const char *found = text ? strstr(text, mark) : NULL;

	if (found)
		text = found + strlen(mark);
	if (!text || !*text)
		text = "nftables gives no reason";
	return lg_refuse(err, -EIO, 0, "%s: nftables: %.*s", what, (int)strcspn(text, "\n"),
			 text);
}

int lg_nft_run(struct lg_nft *nft, const char *commands, const char *what, struct lg_err *err)
{
	int r = nft_run_cmd_from_buffer(nft->ctx, commands);

	/* Reading a buffer is what empties it. */
	(void)nft_ctx_get_output_buffer(nft->ctx);
	if (r != 0)
		return fail(nft, what, err);
	(void)nft_ctx_get_error_buffer(nft->ctx);
	return 0;
}

int lg_nft_ask(struct lg_nft *nft, const char *command, char **ret, struct lg_err *err)
{
	const char *text;
	char *copy;

	if (nft_run_cmd_from_buffer(nft->ctx, command) != 0) {
		(void)nft_ctx_get_output_buffer(nft->ctx);
		return fail(nft, command, err);
	}
	text = nft_ctx_get_output_buffer(nft->ctx);
	copy = strdup(text ? text : "");
	if (!copy)
		return lg_fail(err, -ENOMEM, "%s", command);
	(void)nft_ctx_get_error_buffer(nft->ctx);
	*ret = copy;
	return 0;
}
