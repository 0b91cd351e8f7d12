/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/pins.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

struct lg_pin *lg_pin_new(const char *name, const uint8_t mac[6], const struct lg_addr *addrs,
			  unsigned int naddrs)
{
	struct lg_pin *pin = calloc(1, sizeof(*pin) + naddrs * sizeof(*addrs));

	if (!pin)
		return NULL;
	snprintf(pin->name, sizeof(pin->name), "%s", name);
	memcpy(pin->mac, mac, sizeof(pin->mac));
	pin->naddrs = naddrs;
	if (naddrs)
		memcpy(pin->addrs, addrs, naddrs * sizeof(*addrs));
	return pin;
}

bool lg_pin_has(const struct lg_pin *pin, const struct lg_addr *addr)
{
	for (unsigned int i = 0; i < pin->naddrs; i++)
		if (lg_addr_equal(&pin->addrs[i], addr))
			return true;
	return false;
}

bool lg_pin_equal(const struct lg_pin *a, const struct lg_pin *b)
{
	if (strcmp(a->name, b->name) != 0 || memcmp(a->mac, b->mac, sizeof(a->mac)) != 0 ||
	    a->naddrs != b->naddrs)
		return false;
	for (unsigned int i = 0; i < a->naddrs; i++)
		if (!lg_pin_has(b, &a->addrs[i]) || !lg_pin_has(a, &b->addrs[i]))
			return false;
	return true;
}

static unsigned int hash_name(const char *name)
{
	unsigned int h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h;
}

/* Where the pin of @name hangs, or would. The table must have buckets. */
static struct lg_pin **find_slot(const struct lg_pins *pins, const char *name)
{
	struct lg_pin **slot = &pins->buckets[hash_name(name) & (pins->nbuckets - 1)];

	while (*slot && strcmp((*slot)->name, name) != 0)
		slot = &(*slot)->next;
	return slot;
}

struct lg_pin *lg_pins_find(const struct lg_pins *pins, const char *name)
{
	return pins->n ? *find_slot(pins, name) : NULL;
}

static int grow_table(struct lg_pins *pins)
{
	struct lg_pins bigger = { .nbuckets = pins->nbuckets ? pins->nbuckets * 2 : 64 };

	bigger.buckets = calloc(bigger.nbuckets, sizeof(struct lg_pin *));
	if (!bigger.buckets)
		return -ENOMEM;
	for (unsigned int i = 0; i < pins->nbuckets; i++)
		while (pins->buckets[i]) {
			struct lg_pin *pin = pins->buckets[i];

			pins->buckets[i] = pin->next;
			pin->next = NULL;
			*find_slot(&bigger, pin->name) = pin;
		}
	bigger.n = pins->n;
	free(pins->buckets);
	*pins = bigger;
	return 0;
}

int lg_pins_put(struct lg_pins *pins, struct lg_pin *pin)
{
	struct lg_pin **slot, *old;

	if (pins->n >= pins->nbuckets && grow_table(pins) < 0)
		return -ENOMEM;
	slot = find_slot(pins, pin->name);
	old = *slot;
	pin->next = old ? old->next : NULL;
	*slot = pin;
	if (old)
		free(old);
	else
		pins->n++;
	return 0;
}

void lg_pins_drop(struct lg_pins *pins, const char *name)
{
	struct lg_pin **slot, *pin;

	if (!pins->n)
		return;
	slot = find_slot(pins, name);
	pin = *slot;
	if (!pin)
		return;
	*slot = pin->next;
	free(pin);
	pins->n--;
}

void lg_pins_clear(struct lg_pins *pins)
{
	for (unsigned int i = 0; i < pins->nbuckets; i++)
		while (pins->buckets[i]) {
			struct lg_pin *pin = pins->buckets[i];

			pins->buckets[i] = pin->next;
			free(pin);
		}
	free(pins->buckets);
	memset(pins, 0, sizeof(*pins));
}

const struct lg_pin **lg_pins_list(const struct lg_pins *pins)
{
	const struct lg_pin **list = calloc(pins->n + 1, sizeof(*list)), **next = list;

	for (unsigned int i = 0; list && i < pins->nbuckets; i++)
		for (const struct lg_pin *pin = pins->buckets[i]; pin; pin = pin->next)
			*next++ = pin;
	return list;
}

static bool parse_mac(const char *text, uint8_t mac[6])
{
	unsigned int b[6];
	int end = 0;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
		   &end) != 6 || text[end])
		return false;
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)b[i];
	return true;
}

/* The pin of @name, made empty when it is not there yet. NULL without memory. */
static struct lg_pin **need_slot(struct lg_pins *pins, const char *name)
{
	static const uint8_t none[6];
	struct lg_pin *pin;

	if (lg_pins_find(pins, name))
		return find_slot(pins, name);
	pin = lg_pin_new(name, none, NULL, 0);
	if (pin && lg_pins_put(pins, pin) < 0) {
		free(pin);
		pin = NULL;
	}
	return pin ? find_slot(pins, name) : NULL;
}

static int add_addr(struct lg_pin **slot, const struct lg_addr *addr)
{
	struct lg_pin *pin = *slot;

	if (lg_pin_has(pin, addr) || pin->naddrs >= LG_PIN_ADDRS_MAX)
		return 0;
	pin = realloc(pin, sizeof(*pin) + (pin->naddrs + 1) * sizeof(*addr));
	if (!pin)
		return -ENOMEM;
	pin->addrs[pin->naddrs++] = *addr;
	*slot = pin;
	return 0;
}

static int take_value(struct lg_pins *pins, const char *name, const char *value)
{
	struct lg_pin **slot = need_slot(pins, name);
	struct lg_addr addr;

	if (!slot)
		return -ENOMEM;
	if (parse_mac(value, (*slot)->mac) || lg_parse_addr(value, &addr, NULL) < 0)
		return 0;
	if (addr.family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&addr.v6))
		return 0;
	return add_addr(slot, &addr);
}

int lg_pins_read_set(struct lg_pins *pins, const char *text)
{
	char name[16], value[64];
	const char *p = text;
	int r = 0, used;

	while (r == 0 && (p = strchr(p, '"')) != NULL) {
		used = 0;
		if (sscanf(p, "\"%15[^\"]\" . %63[^ ,}\n]%n", name, value, &used) == 2 && used)
			r = take_value(pins, name, value);
		p += used ? used : 1;
	}
	return r;
}
