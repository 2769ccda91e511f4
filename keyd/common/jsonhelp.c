/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "jsonhelp.h"

#include "text.h"

bool json_add(struct json_object *object, const char *key, struct json_object *member)
{
	if (object && member && !json_object_object_add(object, key, member))
		return true;
	json_object_put(member);
	return false;
}

bool json_add_or_null(struct json_object *object, const char *key, struct json_object *member)
{
	if (member)
		return json_add(object, key, member);
	return object && !json_object_object_add(object, key, NULL);
}

bool json_add_string(struct json_object *object, const char *key, const char *value)
{
	return json_add(object, key, json_object_new_string(value));
}

bool json_add_number(struct json_object *object, const char *key, uint64_t value)
{
	return json_add(object, key, json_object_new_uint64(value));
}

bool json_add_bool(struct json_object *object, const char *key, bool value)
{
	return json_add(object, key, json_object_new_boolean(value));
}

bool json_add_time(struct json_object *object, const char *key, int64_t unix_seconds)
{
	char text[TEXT_TIME_BYTES];

	if (!unix_seconds)
		return json_add_or_null(object, key, NULL);
	text_time(text, unix_seconds);
	return json_add_string(object, key, text);
}

bool json_append(struct json_object *array, struct json_object *item)
{
	if (array && item && !json_object_array_add(array, item))
		return true;
	json_object_put(item);
	return false;
}

const char *json_string(struct json_object *object, const char *key)
{
	struct json_object *member;

	if (!json_object_object_get_ex(object, key, &member) ||
		!json_object_is_type(member, json_type_string))
		return "";
	return json_object_get_string(member);
}

uint64_t json_number(struct json_object *object, const char *key)
{
	struct json_object *member;

	return json_object_object_get_ex(object, key, &member) ? json_object_get_uint64(member) : 0;
}
