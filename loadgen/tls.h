/* tls.h - the one OpenSSL context that all threads' connections share.
 *
 * Given to libwebsockets, which would otherwise make one for each of its contexts: the certificates
 * of the system are read once, and freed, which 4.1 does for the last context only (its index of
 * private data is global).
 *
 * Ownership: tls_free; libwebsockets borrows it. Threads: any may make connections of it.
 */
#pragma once

#include <openssl/ssl.h>

#include "common/err.h"

/* cacert: a file with the certificates that are trusted besides the system's, or NULL. NULL with
 * why in e (EXIT_USAGE: the file). */
SSL_CTX *tls_new(const char *cacert, struct err *e);
void tls_free(SSL_CTX *tls);
