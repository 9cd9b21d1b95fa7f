/*
 * http_listen.c: starts libmicrohttpd on an address, with bounds that the process can keep, and with TLS when a
 * certificate is given.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "service/http_exchange.h"

enum {
  FILES_RESERVED = 1024,
  CONNECTIONS_MIN = 16,
  PEM_MAX = 1 << 20,
  EXPIRES_SOON_S = 14 * 86400,
};

/* Certificate and key as PEM texts; all NULL: plain HTTP. */
typedef struct tls {
  char *certificate, *key;
} tls;

static bool is_set(const char* text) {
  return text != NULL && text[0] != '\0';
}

static void free_tls(tls* texts) {
  free(texts->certificate);
  if (texts->key != NULL) explicit_bzero(texts->key, strlen(texts->key));
  free(texts->key);
}

static freshet_status read_pem(const char* setting, const char* path, char** text, freshet_error* error) {
  FILE* file = fopen(path, "re");
  if (file == NULL)
    return freshet_error_set(error, FRESHET_IO, FRESHET_STOP, "%s: cannot read %s: %s", setting, path,
                             strerror(errno));
  *text = calloc(1, PEM_MAX);
  FRESHET_ASSERT(*text != NULL);
  size_t size = fread(*text, 1, PEM_MAX - 1, file);
  bool failed = ferror(file) != 0;
  fclose(file);
  if (failed || strstr(*text, "-----BEGIN ") == NULL)
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "%s: %s is no PEM file", setting, path);
  (*text)[size] = '\0';
  return FRESHET_OK;
}

static void warn_of_expiry(const freshet_http_config* config, gnutls_certificate_credentials_t credentials) {
  gnutls_x509_crt_t* chain = NULL;
  unsigned count = 0;
  if (gnutls_certificate_get_x509_crt(credentials, 0, &chain, &count) != GNUTLS_E_SUCCESS) return;
  time_t left_s = count == 0 ? 0 : gnutls_x509_crt_get_expiration_time(chain[0]) - time(NULL);
  if (count > 0 && left_s < EXPIRES_SOON_S) {
    freshet_log_fact(config->logger, FRESHET_WARN, "http.certificate_expires",
                     "file=\"%s\" days=%lld do=\"renew it, and restart the service\"", config->certificate,
                     (long long)(left_s / 86400));
  }
  for (unsigned i = 0; i < count; i++) gnutls_x509_crt_deinit(chain[i]);
  gnutls_free(chain);
}

/* Tries the pair before the daemon does, which would not say what is wrong. */
static freshet_status check_pair(const freshet_http_config* config, const tls* texts, freshet_error* error) {
  gnutls_certificate_credentials_t credentials = NULL;
  const gnutls_datum_t certificate = {(unsigned char*)texts->certificate,
                                      (unsigned)strlen(texts->certificate)};
  const gnutls_datum_t key = {(unsigned char*)texts->key, (unsigned)strlen(texts->key)};
  FRESHET_ASSERT(gnutls_certificate_allocate_credentials(&credentials) == GNUTLS_E_SUCCESS);
  gnutls_certificate_set_flags(credentials, GNUTLS_CERTIFICATE_API_V2);
  int index = gnutls_certificate_set_x509_key_mem(credentials, &certificate, &key, GNUTLS_X509_FMT_PEM);
  if (index >= 0) warn_of_expiry(config, credentials);
  gnutls_certificate_free_credentials(credentials);
  if (index >= 0) return FRESHET_OK;
  return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                           "http.certificate %s and http.key %s cannot be used together: %s",
                           config->certificate, config->key, gnutls_strerror(index));
}

static freshet_status load_tls(const freshet_http_config* config, tls* texts, freshet_error* error) {
  if (!is_set(config->certificate) && !is_set(config->key)) return FRESHET_OK;
  if (!is_set(config->certificate) || !is_set(config->key))
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP,
                             "http.certificate and http.key belong together: one of them is not set");
  freshet_status status = read_pem("http.certificate", config->certificate, &texts->certificate, error);
  if (status == FRESHET_OK) status = read_pem("http.key", config->key, &texts->key, error);
  if (status == FRESHET_OK) status = check_pair(config, texts, error);
  return status;
}

static bool parse_address(const char* text, uint16_t port, struct sockaddr_storage* out) {
  struct sockaddr_in* v4 = (struct sockaddr_in*)out;
  struct sockaddr_in6* v6 = (struct sockaddr_in6*)out;
  memset(out, 0, sizeof *out);
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    return true;
  }
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1;
}

/* How many connections the process may have, given how many files it may open. */
static unsigned connection_limit(const freshet_http_config* config) {
  struct rlimit files;
  unsigned wanted = config->connections_max;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return CONNECTIONS_MIN;
  if (files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_NOFILE, &files);
  }
  if (files.rlim_cur == RLIM_INFINITY || files.rlim_cur >= (rlim_t)wanted + FILES_RESERVED) return wanted;
  unsigned limit = files.rlim_cur > FILES_RESERVED + CONNECTIONS_MIN
                       ? (unsigned)files.rlim_cur - FILES_RESERVED
                       : CONNECTIONS_MIN;
  freshet_log_fact(config->logger, FRESHET_WARN, "http.fewer_connections",
                   "wanted=%u limit=%u reason=\"the process may open %llu files (ulimit -n)\"", wanted, limit,
                   (unsigned long long)files.rlim_cur);
  return limit < wanted ? limit : wanted;
}

/* We decode ourselves: an id may hold an encoded slash. */
static size_t leave_encoded(void* context, struct MHD_Connection* connection, char* text) {
  (void)context, (void)connection;
  return strlen(text);
}

static struct MHD_Daemon* start(freshet_http* http, const freshet_http_callbacks* callbacks,
                                const struct sockaddr_storage* address, const tls* texts) {
  const freshet_http_config* config = &http->config;
  unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME |
                   (address->ss_family == AF_INET6 ? MHD_USE_IPv6 : 0u) |
                   (texts->key != NULL ? MHD_USE_TLS : 0u);
  const struct MHD_OptionItem of_tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, texts->certificate},
                                          {MHD_OPTION_HTTPS_MEM_KEY, 0, texts->key},
                                          {MHD_OPTION_END, 0, NULL}};
  const struct MHD_OptionItem of_plain[] = {{MHD_OPTION_END, 0, NULL}};
  return MHD_start_daemon(
      flags, config->port, NULL, NULL, callbacks->take, http, MHD_OPTION_SOCK_ADDR,
      (const struct sockaddr*)address, MHD_OPTION_CONNECTION_LIMIT, connection_limit(config),
      MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)FRESHET_HTTP_SILENCE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
      (size_t)FRESHET_HTTP_HEADER_MAX, MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)SOMAXCONN,
      MHD_OPTION_URI_LOG_CALLBACK, callbacks->begin, http, MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL,
      MHD_OPTION_NOTIFY_CONNECTION, callbacks->connection_changed, http, MHD_OPTION_NOTIFY_COMPLETED,
      callbacks->done, http, MHD_OPTION_ARRAY, texts->key != NULL ? of_tls : of_plain, MHD_OPTION_END);
}

freshet_status freshet_http_listen(freshet_http* http, const freshet_http_callbacks* callbacks,
                                   freshet_error* error) {
  const freshet_http_config* config = &http->config;
  struct sockaddr_storage address;
  tls texts = {0};
  if (!parse_address(config->bind, config->port, &address)) {
    return freshet_error_set(error, FRESHET_INVALID, FRESHET_STOP, "http.bind: '%s' is no IP address",
                             config->bind);
  }
  freshet_status status = load_tls(config, &texts, error);
  errno = 0;
  if (status == FRESHET_OK) http->daemon = start(http, callbacks, &address, &texts);
  if (status == FRESHET_OK && http->daemon == NULL) {
    status = freshet_error_set(error, FRESHET_UNAVAILABLE, FRESHET_STOP, "cannot listen on %s port %u: %s",
                               config->bind, (unsigned)config->port, strerror(errno));
  }
  free_tls(&texts);
  return status;
}
