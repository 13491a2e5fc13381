#include "loadgen/tls.h"

SSL_CTX *tls_new(const char *cacert, struct err *e)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (!tls) {
        err_set(e, EXIT_FAILED, "OpenSSL cannot start");
        return NULL;
    }
    /* As libwebsockets sets its own: what the socket does not take is offered again from elsewhere.
     */
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_default_verify_paths(tls);
    if (cacert && SSL_CTX_load_verify_locations(tls, cacert, NULL) != 1) {
        err_set(e, EXIT_USAGE, "--cacert %s: cannot be read, or there is no certificate in it",
                cacert);
        SSL_CTX_free(tls);
        return NULL;
    }
    return tls;
}

void tls_free(SSL_CTX *tls)
{
    SSL_CTX_free(tls);
}
