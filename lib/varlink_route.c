/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lib/varlink_route.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/json.h"

/* Every Varlink service speaks this one, so that its interfaces can be found out. */
static const char service_text[] =
	"# Spoken by every Varlink service: who it is and which interfaces it has.\n"
	"interface " LG_VSERVICE "\n"
	"\n"
	"# Who serves here, and the names of all interfaces.\n"
	"method GetInfo() -> (\n"
	"  vendor: string,\n"
	"  product: string,\n"
	"  version: string,\n"
	"  url: string,\n"
	"  interfaces: []string\n"
	")\n"
	"\n"
	"# The text of one of the interfaces.\n"
	"method GetInterfaceDescription(interface: string) -> (description: string)\n"
	"\n"
	"# No interface of this name is served here.\n"
	"error InterfaceNotFound (interface: string)\n"
	"\n"
	"# The interface has no method of this name.\n"
	"error MethodNotFound (method: string)\n"
	"\n"
	"# The method is described, but not in this way or not at all to be had here.\n"
	"error MethodNotImplemented (method: string)\n"
	"\n"
	"# A parameter is missing, unknown or of another type than the interface says.\n"
	"error InvalidParameter (parameter: string)\n"
	"\n"
	"# The caller may not do this.\n"
	"error PermissionDenied ()\n"
	"\n"
	"# The method answers more than once and wants to be called with `more`.\n"
	"error ExpectedMore ()\n";

struct interface {
	struct lg_vidl *idl;
	const char *text;
	const struct lg_vmethod *methods;
	size_t nmethods;
	void *ctx;
};

struct lg_vroutes {
	struct lg_vserver_conf conf;
	struct interface interfaces[2];
};

static const struct interface *find_interface(const struct lg_vroutes *routes, const char *name,
					       size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(routes->interfaces); i++) {
		const struct interface *in = &routes->interfaces[i];

		if (strlen(in->idl->name) == len && memcmp(in->idl->name, name, len) == 0)
			return in;
	}
	return NULL;
}

static void get_info(struct lg_vcall *call, const json_t *params, void *ctx)
{
	const struct lg_vroutes *routes = ctx;
	const struct lg_vserver_conf *c = &routes->conf;
	json_t *names = json_array();

	(void)params;
	/* The service's own interface first, as everyone does. */
	for (size_t i = ARRAY_SIZE(routes->interfaces); i-- > 0;)
		json_array_append_new(names, json_string(routes->interfaces[i].idl->name));
	lg_vcall_reply(call, json_pack("{s:s, s:s, s:s, s:s, s:o}", "vendor",
				       c->vendor ? c->vendor : "", "product",
				       c->product ? c->product : "", "version",
				       c->version ? c->version : "", "url", c->url ? c->url : "",
				       "interfaces", names));
}

static void get_description(struct lg_vcall *call, const json_t *params, void *ctx)
{
	const struct lg_vroutes *routes = ctx;
	const char *name = lg_json_str(params, "interface");
	const struct interface *in = find_interface(routes, name, strlen(name));

	if (in)
		lg_vcall_reply(call, json_pack("{s:s}", "description", in->text));
	else
		lg_vcall_error(call, LG_VSERVICE ".InterfaceNotFound",
			       json_pack("{s:s}", "interface", name));
}

static const struct lg_vmethod service_methods[] = {
	{ LG_VSERVICE ".GetInfo", get_info },
	{ LG_VSERVICE ".GetInterfaceDescription", get_description },
};

/* The member's name, when @method is of the interface; else NULL. */
static const char *member_name(const struct interface *in, const char *method)
{
	size_t len = strlen(in->idl->name);

	if (strncmp(method, in->idl->name, len) != 0 || method[len] != '.')
		return NULL;
	return method + len + 1;
}

static int bind_interface(struct interface *in, struct lg_err *err)
{
	int r = lg_vidl_parse(in->text, strlen(in->text), &in->idl, err);

	for (size_t i = 0; r == 0 && i < in->nmethods; i++) {
		const char *name = member_name(in, in->methods[i].name);

		if (!name || !lg_vidl_find(in->idl, LG_VM_METHOD, name))
			return lg_refuse(err, -EINVAL, 0, "the interface has no method '%s'",
					 in->methods[i].name);
	}
	return r;
}

int lg_vroutes_new(const struct lg_vserver_conf *conf, struct lg_vroutes **ret,
		   struct lg_err *err)
{
	struct lg_vroutes *routes = calloc(1, sizeof(*routes));
	int r;

	if (!routes)
		return lg_fail(err, -ENOMEM, "serve %s", conf->interface);
	routes->conf = *conf;
	routes->interfaces[0] = (struct interface){
		.text = conf->description, .methods = conf->methods,
		.nmethods = conf->nmethods, .ctx = conf->ctx,
	};
	routes->interfaces[1] = (struct interface){
		.text = service_text, .methods = service_methods,
		.nmethods = ARRAY_SIZE(service_methods), .ctx = routes,
	};
	r = bind_interface(&routes->interfaces[1], err);
	if (r == 0)
		r = bind_interface(&routes->interfaces[0], err);
	if (r == 0 && strcmp(routes->interfaces[0].idl->name, conf->interface) != 0)
		r = lg_refuse(err, -EINVAL, 0, "the interface calls itself '%.80s'",
			      routes->interfaces[0].idl->name);
	if (r < 0) {
		lg_vroutes_free(routes);
		return lg_within(err, r, "serve %s", conf->interface);
	}
	*ret = routes;
	return 0;
}

void lg_vroutes_free(struct lg_vroutes *routes)
{
	if (!routes)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(routes->interfaces); i++)
		lg_vidl_free(routes->interfaces[i].idl);
	free(routes);
}

static bool read_flag(const json_t *message, const char *key, bool *ret)
{
	const json_t *flag = json_object_get(message, key);

	if (flag && !json_is_boolean(flag))
		return false;
	*ret = json_is_true(flag);
	return true;
}

int lg_venvelope_read(json_t *message, struct lg_venvelope *ret)
{
	struct lg_venvelope env = { .method = lg_json_str(message, "method"),
				    .params = json_object_get(message, "parameters") };

	if (!env.params || json_is_null(env.params)) {
		json_object_set_new(message, "parameters", json_object());
		env.params = json_object_get(message, "parameters");
	}
	if (!env.method || !json_is_object(env.params))
		return -EBADMSG;
	if (!read_flag(message, "more", &env.more) || !read_flag(message, "oneway", &env.oneway) ||
	    !read_flag(message, "upgrade", &env.upgrade))
		return -EBADMSG;
	if (env.oneway && (env.more || env.upgrade))
		return -EBADMSG;
	*ret = env;
	return 0;
}

/* Cut to fit: a JSON string that says which was meant need not be the whole of a megabyte. */
static void refuse(struct lg_vroute *route, const char *error, const char *about,
		   const char *value, size_t len)
{
	if (len >= sizeof(route->value)) {
		len = sizeof(route->value) - 1;
		while (len > 0 && ((unsigned char)value[len] & 0xc0) == 0x80)
			len--;
	}
	memmove(route->value, value, len);
	route->value[len] = '\0';
	route->error = error;
	route->about = about;
}

static const struct lg_vmethod *find_method(const struct interface *in, const char *name)
{
	for (size_t i = 0; i < in->nmethods; i++)
		if (strcmp(in->methods[i].name, name) == 0)
			return &in->methods[i];
	return NULL;
}

static void check_params(const struct lg_venvelope *env, struct lg_vroute *route)
{
	char path[LG_VPATH_MAX];

	if (lg_vtype_check(route->member->in, env->params, path) < 0)
		refuse(route, LG_VSERVICE ".InvalidParameter", "parameter", path, strlen(path));
}

void lg_vroutes_find(const struct lg_vroutes *routes, const struct lg_venvelope *env,
		     struct lg_vroute *ret)
{
	const char *dot = strrchr(env->method, '.');
	size_t len = strlen(env->method), prefix = dot ? (size_t)(dot - env->method) : len;
	const struct interface *in = find_interface(routes, env->method, prefix);
	const struct lg_vmethod *method;

	memset(ret, 0, sizeof(*ret));
	if (!in || !dot) {
		refuse(ret, LG_VSERVICE ".InterfaceNotFound", "interface", env->method, prefix);
		return;
	}
	ret->member = lg_vidl_find(in->idl, LG_VM_METHOD, dot + 1);
	if (!ret->member) {
		refuse(ret, LG_VSERVICE ".MethodNotFound", "method", env->method, len);
		return;
	}
	method = find_method(in, env->method);
	if (!method || env->upgrade) {
		refuse(ret, LG_VSERVICE ".MethodNotImplemented", "method", env->method, len);
		return;
	}
	ret->fn = method->fn;
	ret->ctx = in->ctx;
	check_params(env, ret);
}
