/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
/* Nothing becomes executable after sandbox_calls(): what libraries load by themselves is loaded before. */
#include "sandbox.h"

#include <dlfcn.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/provider.h>

#include "log.h"

enum { NAME_BYTES = 256 };

/* Never unloaded. What the machine does not have is not needed. */
static void load(const char *name)
{
	void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

	if (library)
		(void)dlclose(library);
	else
		log_debug("%s", dlerror());
}

/* The names that Tss2_TctiLdr_Initialize() tries for "name:configuration", or without any. */
static void load_tcti(const char *tcti)
{
	static const char *const usual[] = {
		"libtss2-tcti-default.so", "libtss2-tcti-tabrmd.so.0", "libtss2-tcti-device.so.0"};
	char library[NAME_BYTES];

	for (size_t i = 0; !tcti && i < sizeof(usual) / sizeof(usual[0]); i++)
		load(usual[i]);
	if (!tcti)
		return;
	int len = (int)strcspn(tcti, ":");
	static const char *const forms[] = {
		"%.*s", "libtss2-tcti-%.*s.so.0", "libtss2-tcti-%.*s.so"};
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		(void)snprintf(library, sizeof(library), forms[i], len, tcti);
		load(library);
	}
}

void sandbox_libraries(const struct config *config)
{
	load("libgcc_s.so.1"); /* what ends a thread */
	load_tcti(config->custody.tpm2_tcti);
	if (config->custody.pkcs11_module) {
		load(config->custody.pkcs11_module);
		load("libpcsclite.so.1");                        /* OpenSC's way to smart cards */
		(void)OSSL_PROVIDER_try_load(NULL, "legacy", 1); /* SoftHSM's */
	}
	(void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
	/* Nobody has this uid, so all name services are asked, and with them loaded. */
	(void)getpwuid((uid_t)-2);
}
